import { lstat, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../__fixtures__/hub-server.ts";
import {
  blobOf,
  blobs,
  cache,
  model,
  refusal,
  rounded,
  server,
  valuesOf,
} from "../../__fixtures__/tiny-hub.ts";

describe("a download goes on", () => {
  it.each([
    ["429", { status: 429, headers: { "retry-after": "0" } }],
    ["500", { status: 500 }],
    ["502", { status: 502 }],
    ["a broken connection", { truncateAt: 1000 }],
    ["silence", { stallAt: 1000 }],
    ["a changed byte", { corrupt: true }],
  ])("after %s", async (_, fault) => {
    server.faults.push({ match: /^(hub|cdn) GET/, times: 1, ...fault });
    server.faults.push({ match: /cdn GET/, times: 1, ...fault });
    // What comes damaged of the listing is no fault of the network.
    if ("corrupt" in fault) server.faults.shift();
    expect(await valuesOf()).toEqual(rounded);
    expect(await blobs()).toHaveLength(3);
  });

  it("from the byte at which the connection broke", async () => {
    server.faults.push({ match: /cdn GET/, times: 1, truncateAt: 150_000 });
    expect(await valuesOf()).toEqual(rounded);
    const ranges = server.seen.filter(({ line }) => /cdn GET/.test(line)).map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=150000-"]);
  });

  it("in a later run, from what is on disk, and after damage from the start", async () => {
    const hash = sha256(blobOf("model.safetensors"));
    const incomplete = join(model, "blobs", `${hash}.latentkit.incomplete`);
    server.faults.push({ match: /cdn GET/, times: 1, truncateAt: 150_000 });
    server.faults.push({ match: /cdn GET/, times: 99, status: 500 });
    expect(await refusal()).toMatchObject({ code: "HTTP_STATUS" });
    expect((await lstat(incomplete)).size).toBe(150_000);
    // What is half there is no model.
    expect(await refusal("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toMatchObject({
      code: "HUB_NOT_CACHED",
    });
    server.faults.length = 0;
    server.seen.length = 0;
    expect(await valuesOf()).toEqual(rounded);
    expect(server.seen.at(-1)?.range).toBe("bytes=150000-");
    await rm(cache, { recursive: true });
    await mkdir(join(model, "blobs"), { recursive: true });
    await writeFile(incomplete, new Uint8Array(150_000));
    server.seen.length = 0;
    expect(await valuesOf()).toEqual(rounded);
    expect(
      server.seen.filter(({ line }) => /cdn GET/.test(line)).map(({ range }) => range),
    ).toEqual(["bytes=150000-", undefined]);
  });

  it("with a server that sends everything again, and one whose file is shorter than what is here", async () => {
    server.faults.push({ match: /cdn GET/, times: 1, truncateAt: 150_000 });
    server.faults.push({ match: /cdn GET/, times: 1, ignoreRange: true });
    expect(await valuesOf()).toEqual(rounded);
    expect(server.count(/cdn GET/)).toBe(2);
    await rm(cache, { recursive: true });
    await mkdir(join(model, "blobs"), { recursive: true });
    const hash = sha256(blobOf("model.safetensors"));
    await writeFile(join(model, "blobs", `${hash}.latentkit.incomplete`), new Uint8Array(999_999));
    expect(await valuesOf()).toEqual(rounded);
  });

  it("once for two that want it at the same time, and after a holder of the lock died", async () => {
    const [one, two] = await Promise.all([valuesOf(), valuesOf()]);
    expect(one).toEqual(rounded);
    expect(two).toEqual(rounded);
    expect(server.count(/cdn GET/)).toBe(1);
    await rm(model, { recursive: true });
    const lock = join(
      cache,
      ".locks",
      "models--org--tiny",
      `${sha256(blobOf("model.safetensors"))}.latentkit.lock`,
    );
    await writeFile(
      lock,
      JSON.stringify({ pid: 2 ** 22 + 1, host: (await import("node:os")).hostname() }),
    );
    expect(await valuesOf()).toEqual(rounded);
    await rm(model, { recursive: true });
    await writeFile(lock, "half a lo");
    expect(await valuesOf("org/tiny", { lock: { pollMs: 10, staleMs: 100 } })).toEqual(rounded);
  });
});
