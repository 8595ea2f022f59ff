import { readdir, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../__fixtures__/hub-server.ts";
import { errorOf } from "../../__fixtures__/load.ts";
import {
  blobOf,
  blobs,
  cache,
  files,
  first,
  folder,
  json,
  model,
  refusal,
  remote,
  repo,
  rounded,
  second,
  server,
  valuesOf,
} from "../../__fixtures__/tiny-hub.ts";
import { openCheckpoint } from "../open-checkpoint.ts";
import type { PartialFile } from "./download-blob.ts";

describe("what the hub refuses is explained", () => {
  it("a gated model, with and without a token", async () => {
    server.repos.set("org/tiny", { ...repo(), gatedFor: "hf_good" });
    const without = await refusal();
    expect(without).toMatchObject({ code: "HUB_GATED", name: "IoError" });
    expect(without.fix).toContain(`${server.endpoint}/org/tiny`);
    expect(without.fix).toContain("HF_TOKEN");
    const wrong = await refusal("org/tiny", {}, { HF_TOKEN: "hf_wrong" });
    expect(wrong.fix).toContain("use a token of the same account");
    expect(await valuesOf("org/tiny", {}, { HF_TOKEN: "hf_good" })).toEqual(rounded);
    // The second server never sees the token.
    for (const { line, authorization } of server.seen.slice(-8))
      expect(authorization).toBe(line.startsWith("cdn") ? undefined : "Bearer hf_good");
    expect(server.count(/^cdn/)).toBeGreaterThan(0);
  });

  it("the token file counts where no variable has one, and not where it is turned off", async () => {
    server.repos.set("org/tiny", { ...repo(), gatedFor: "hf_good" });
    await writeFile(join(folder, "token"), "hf_good\n");
    expect(await refusal("org/tiny", {}, { HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).toMatchObject({
      code: "HUB_GATED",
    });
    expect(await valuesOf()).toEqual(rounded);
  });

  it("a missing repository, revision and a wrong token", async () => {
    const missing = await refusal("org/nothing");
    expect(missing).toMatchObject({ code: "HUB_REPO_MISSING", where: "org/nothing@main" });
    expect(missing.message).toContain("nor is there such a folder here");
    const revision = await refusal("org/tiny@v9");
    expect(revision).toMatchObject({ code: "HUB_REVISION_MISSING" });
    expect(revision.message).toContain('"v9"');
    server.faults.push({
      match: /api/,
      times: 1,
      status: 401,
      headers: { "x-error-message": "Invalid credentials in Authorization header" },
    });
    expect(await refusal("org/tiny", {}, { HF_TOKEN: "hf_x" })).toMatchObject({
      code: "HUB_TOKEN",
    });
    server.faults.push({
      match: /api/,
      times: 1,
      status: 403,
      headers: { "x-error-message": "Access to this resource is disabled." },
    });
    expect(await refusal()).toMatchObject({ code: "HUB_DISABLED" });
    server.faults.push({ match: /api/, times: 1, status: 403 });
    expect(await refusal()).toMatchObject({ code: "HUB_DENIED" });
    expect(await readdir(folder)).toEqual([]);
  });

  it("a repository with pickles only, or with nothing", async () => {
    const { "config.json": config = json({}) } = files();
    repo().commits[first] = { "config.json": config, "pytorch_model.bin": json(1) };
    expect((await refusal()).message).toContain("pickle");
    repo().commits[first] = {
      "config.json": config,
      "a.safetensors": json(1),
      "b.safetensors": json(1),
    };
    expect((await refusal()).message).toContain("a.safetensors, b.safetensors");
    repo().commits[first] = { "config.json": config };
    expect(await refusal()).toMatchObject({ code: "HUB_NO_WEIGHTS" });
  });
});

describe("what is wrong is not taken", () => {
  it("content with another hash than its tag, for large and for small files", async () => {
    for (const match of [/cdn GET/, /hub GET .*resolve.*config/]) {
      server.faults.splice(0, 1, { match, times: 99, corrupt: true });
      expect(await refusal()).toMatchObject({ code: "HUB_CHECKSUM", name: "FormatError" });
      expect((await blobs()).filter((name) => name.endsWith(".incomplete"))).toEqual([]);
      await rm(cache, { recursive: true });
    }
  });

  it("tags that are no names, or of another file; sizes and commits that contradict the list", async () => {
    for (const headers of [
      { "x-linked-etag": '"../../../../evil"' },
      { "x-linked-etag": "" },
      { "x-linked-etag": `"${"0".repeat(64)}"` },
      { "x-linked-size": "5" },
      { "x-linked-size": "many" },
      { "x-repo-commit": second },
    ]) {
      server.faults.splice(0, 1, { match: /HEAD .*model.safetensors/, times: 9, headers });
      expect(await refusal(), JSON.stringify(headers)).toMatchObject({ code: "HUB_METADATA" });
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it("a tag that leads elsewhere, of a hub whose list says nothing about files", async () => {
    const siblings = ["config.json", "model.safetensors"].map((rfilename) => ({ rfilename }));
    server.repos.set("org/tiny", { ...repo(), listing: { sha: first, siblings } });
    for (const tag of ["../../../../evil", "..", ".", "a/b", "a\\b", "a%2fb"]) {
      const headers = { "x-linked-etag": `"${tag}"` };
      server.faults.splice(0, 1, { match: /HEAD .*model.safetensors/, times: 9, headers });
      expect(await refusal(), tag).toMatchObject({ code: "HUB_METADATA" });
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it.each(["../../evil.json", "/etc/evil", "a\\..\\evil", "C:evil", "a\0b", "..", "a//b"])(
    "a file named %j",
    async (rfilename) => {
      server.repos.set("org/tiny", {
        ...repo(),
        listing: { sha: first, siblings: [{ rfilename: "config.json" }, { rfilename }] },
      });
      expect(await refusal()).toMatchObject({ code: "HUB_UNSAFE_PATH", name: "FormatError" });
      expect(await readdir(folder)).toEqual([]);
    },
  );

  it.each([
    { sha: "../../x", siblings: [] },
    { siblings: [] },
    [],
    "text",
    { sha: first, siblings: [{}] },
  ])("the listing %o", async (listing) => {
    server.repos.set("org/tiny", { ...repo(), listing });
    expect(await refusal()).toMatchObject({ code: "HUB_LISTING" });
  });

  it("an index that names files elsewhere, or files that are not there", async () => {
    const { "model.safetensors": _, ...others } = files();
    for (const [elsewhere, code] of [
      ["../../../evil.safetensors", "JSON_SCHEMA"],
      ["none.safetensors", "HUB_FILE_MISSING"],
    ] as const) {
      repo().commits[first] = {
        ...others,
        "model.safetensors.index.json": json({ weight_map: { a: elsewhere } }),
      };
      expect(await refusal()).toMatchObject({ code });
      await rm(cache, { recursive: true });
    }
  });

  it("a configuration of a gigabyte", async () => {
    server.faults.push({
      match: /HEAD .*config/,
      times: 1,
      headers: { "content-length": "1000000000" },
    });
    repo().commits[first] = { ...files() };
    server.repos.set("org/tiny", {
      ...repo(),
      listing: {
        sha: first,
        siblings: ["config.json", "model.safetensors"].map((rfilename) => ({ rfilename })),
      },
    });
    expect(await refusal()).toMatchObject({ code: "HTTP_TOO_LARGE" });
  });

  it("a link out of the cache", async () => {
    await valuesOf();
    const place = join(model, "snapshots", first, "config.json");
    const secret = join(folder, "secret.json");
    await writeFile(secret, "{}");
    await unlink(place);
    await symlink(secret, place);
    for (const env of [{}, { HF_HUB_OFFLINE: "1" }])
      expect(await refusal("org/tiny", {}, env)).toMatchObject({ code: "HUB_CACHE_LINK" });
  });

  it("a disk that is too small, or that fills up; the next run goes on", async () => {
    const small = await refusal("org/tiny", { freeBytes: () => Promise.resolve(1000) });
    expect(small).toMatchObject({ code: "DISK_FULL", name: "IoError" });
    expect(server.count(/ GET .*resolve/)).toBe(0);
    // What is there already needs no space.
    const large = blobOf("model.safetensors");
    await writeFile(
      join(model, "blobs", `${sha256(large)}.latentkit.incomplete`),
      large.subarray(0, large.length - 10),
    );
    const others = blobOf("config.json").length + blobOf("tokenizer.json").length;
    expect(
      await refusal("org/tiny", { freeBytes: () => Promise.resolve(others + 9) }),
    ).toMatchObject({ code: "DISK_FULL" });
    expect(await valuesOf("org/tiny", { freeBytes: () => Promise.resolve(others + 10) })).toEqual(
      rounded,
    );
    await rm(cache, { recursive: true });
    const full = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    const openPartial = (): Promise<PartialFile> =>
      Promise.resolve({
        size: 0,
        async *pieces() {},
        truncate: () => Promise.resolve(),
        write: () => Promise.reject(full),
        sync: () => Promise.resolve(),
        close: () => Promise.resolve(),
      });
    expect(await refusal("org/tiny", { openPartial })).toMatchObject({
      code: "DISK_FULL",
      name: "IoError",
    });
    expect(await valuesOf()).toEqual(rounded);
  });

  it("a stop on request leaves what is there, and a later call finishes it", async () => {
    const controller = new AbortController();
    server.faults.push({ match: /cdn GET/, times: 1, stallAt: 100_000 });
    const call = errorOf(() =>
      openCheckpoint("org/tiny", {
        signal: controller.signal,
        remote: remote({ stallMs: 60_000 }),
      }),
    );
    while (server.count(/cdn GET/) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    setTimeout(() => controller.abort(), 50);
    const error = await call;
    expect(error).toMatchObject({ code: "ABORTED" });
    expect(error.message).toContain("what was downloaded is kept");
    expect(await valuesOf()).toEqual(rounded);
    expect(server.seen.at(-1)?.range).toBe("bytes=100000-");
  });
});
