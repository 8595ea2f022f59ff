import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HubServer } from "../__fixtures__/hub-server.ts";
import { errorOf } from "../__fixtures__/load.ts";
import { encodeSafetensors } from "../safetensors/encode-safetensors.ts";
import { openSafetensors } from "../safetensors/open-safetensors.ts";
import { redirectTarget } from "./http-request.ts";
import { openUrl } from "./http-source.ts";

const server = new HubServer();
const quick = { firstDelayMs: 1, stallMs: 300 };
const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 3);
let url = "";
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

beforeAll(async () => {
  await server.start();
  url = `${server.cdn}/data.bin`;
});
afterAll(() => server.stop());
beforeEach(() => {
  server.plain.set("/data.bin", bytes);
  server.faults.length = 0;
  server.seen.length = 0;
});

describe("openUrl", () => {
  test.prop([fc.nat(bytes.length), fc.nat(bytes.length)], { numRuns: 25 })(
    "gives the bytes of any range",
    async (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const source = await openUrl(url, quick);
      expect(source.size).toBe(bytes.length);
      expect(same(await source.read(from, to - from), bytes.slice(from, to))).toBe(true);
    },
  );

  it("reads headers from its first request, and single tensors by range", async () => {
    const wide = new Float32Array(40_000).fill(3);
    const tensors = [
      { name: "a", dtype: "f32", shape: [40_000], bytes: wide },
      { name: "b", dtype: "f32", shape: [2], bytes: Float32Array.of(1, 2) },
    ] as const;
    const file = encodeSafetensors(tensors);
    server.plain.set("/m.safetensors", file);
    const store = await openSafetensors(await openUrl(`${server.cdn}/m.safetensors`, quick));
    expect(server.seen).toHaveLength(1);
    expect([...(await store.readFloats("b"))]).toEqual([1, 2]);
    expect(server.seen.map(({ range }) => range)).toEqual([
      "bytes=0-65535",
      `bytes=${file.length - 8}-${file.length - 1}`,
    ]);
  });

  it("takes files that are empty or smaller than its first request", async () => {
    server.plain.set("/empty", new Uint8Array(0));
    server.plain.set("/small", Uint8Array.of(1, 2, 3));
    expect((await openUrl(`${server.cdn}/empty`, quick)).size).toBe(0);
    const small = await openUrl(`${server.cdn}/small`, quick);
    expect([...(await small.read(1, 2))]).toEqual([2, 3]);
  });

  it("goes on from where a connection broke", async () => {
    const source = await openUrl(url, quick);
    server.faults.push({ match: /data/, times: 1, truncateAt: 50_000 });
    expect(same(await source.read(100_000, 200_000), bytes.slice(100_000))).toBe(true);
    expect(server.seen.at(-1)?.range).toBe("bytes=150000-299999");
  });

  it.each([
    ["429", { status: 429, headers: { "retry-after": "0" } }],
    ["500", { status: 500 }],
    ["503", { status: 503 }],
    ["silence", { stallAt: 3 }],
    ["a broken connection", { truncateAt: 0 }],
  ])("tries again after %s", async (_, fault) => {
    server.faults.push({ match: /data/, times: 2, ...fault });
    const source = await openUrl(url, quick);
    server.faults.push({ match: /data/, times: 2, ...fault });
    expect(await source.read(200_000, 10)).toEqual(bytes.slice(200_000, 200_010));
    expect(server.seen).toHaveLength(6);
  });

  it("waits as long as it is asked to", async () => {
    server.faults.push({ match: /data/, times: 1, status: 429, headers: { "retry-after": "1" } });
    const start = performance.now();
    await openUrl(url, quick);
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  it("reads a small file of a server that knows no ranges", async () => {
    server.faults.push({ match: /data/, times: 1, ignoreRange: true });
    const source = await openUrl(url, quick);
    expect(await source.read(299_990, 10)).toEqual(bytes.slice(299_990));
    expect(server.seen).toHaveLength(1);
  });
});

describe("openUrl refuses", () => {
  it.each<readonly [number, Record<string, string>, string, number]>([
    [404, {}, "HTTP_MISSING", 1],
    [403, {}, "HTTP_DENIED", 1],
    [400, {}, "HTTP_STATUS", 1],
    [503, {}, "HTTP_STATUS", 4],
    [429, {}, "HTTP_RATE_LIMITED", 4],
    [429, { "retry-after": "86400" }, "HTTP_RATE_LIMITED", 1],
    [429, { ratelimit: '"api";r=0;t=9000' }, "HTTP_RATE_LIMITED", 1],
    [302, { location: "ftp://127.0.0.1/x" }, "HTTP_REDIRECT", 1],
    [302, { location: "/data.bin" }, "HTTP_REDIRECT", 9],
  ])("status %d with %o", async (status, headers, code, requests) => {
    server.faults.push({ match: /data/, times: 99, status, headers });
    const error = await errorOf(() => openUrl(url, { ...quick, retries: 3 }));
    expect(error).toMatchObject({ code, name: "IoError", where: url });
    expect(server.seen).toHaveLength(requests);
  });

  it("a stall and a truncation that stay", async () => {
    server.faults.push({ match: /data/, times: 99, stallAt: 5 });
    expect(await errorOf(() => openUrl(url, { ...quick, stallMs: 50, retries: 1 }))).toMatchObject({
      code: "HTTP_STALLED",
    });
    server.faults.splice(0, 1, { match: /data/, times: 99, truncateAt: 0 });
    expect(await errorOf(() => openUrl(url, { ...quick, retries: 1 }))).toMatchObject({
      code: "HTTP_UNREACHABLE",
    });
  });

  it("a file that changed since it was opened", async () => {
    const source = await openUrl(url, quick);
    server.plain.set(
      "/data.bin",
      Uint8Array.from(bytes, (byte) => byte ^ 1),
    );
    expect(await errorOf(() => source.read(100_000, 10))).toMatchObject({ code: "HTTP_CHANGED" });
    server.plain.set("/data.bin", bytes.subarray(1));
    expect(await errorOf(() => source.read(100_000, 10))).toMatchObject({ code: "HTTP_CHANGED" });
  });

  it("a large file of a server that knows no ranges", async () => {
    server.plain.set("/large", new Uint8Array(17 * 1024 * 1024));
    server.faults.push({ match: /large/, times: 1, ignoreRange: true });
    expect(await errorOf(() => openUrl(`${server.cdn}/large`, quick))).toMatchObject({
      code: "HTTP_NO_RANGES",
    });
  });

  it("ranges that do not lie in the file, without a request", async () => {
    const source = await openUrl(url, quick);
    for (const [offset, length] of [
      [-1, 1],
      [0, 300_001],
      [299_999, 2],
      [0.5, 1],
    ] as const)
      expect(await errorOf(() => source.read(offset, length))).toMatchObject({
        code: "SOURCE_TRUNCATED",
      });
    expect(server.seen).toHaveLength(1);
  });

  it.each(["http://user:hunter2@127.0.0.1/x", "ftp://x/y", "http://", "file:///etc/passwd"])(
    "the address %s, without repeating a password",
    async (address) => {
      const error = await errorOf(() => openUrl(address, quick));
      expect(error).toMatchObject({ code: "HTTP_URL", name: "ConfigError" });
      expect(JSON.stringify({ ...error, message: error.message })).not.toContain("hunter2");
    },
  );

  it("nobody at the port, and stops on request", async () => {
    const gone = new HubServer();
    await gone.start();
    const address = gone.cdn;
    await gone.stop();
    const error = await errorOf(() => openUrl(`${address}/x`, { ...quick, retries: 1 }));
    expect(error).toMatchObject({ code: "HTTP_UNREACHABLE" });
    expect(error.message).toContain("ECONNREFUSED");
    const controller = new AbortController();
    server.faults.push({ match: /data/, times: 9, stallAt: 5 });
    const call = errorOf(() => openUrl(url, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    expect(await call).toMatchObject({ code: "ABORTED" });
  });

  it("a file that changed, of a server that does not know If-Range", async () => {
    const source = await openUrl(url, quick);
    server.faults.push({ match: /data/, times: 9, ignoreIfRange: true });
    server.plain.set(
      "/data.bin",
      Uint8Array.from(bytes, (byte) => byte ^ 1),
    );
    expect(await errorOf(() => source.read(100_000, 10))).toMatchObject({ code: "HTTP_CHANGED" });
    server.plain.set("/data.bin", bytes.subarray(1));
    expect(await errorOf(() => source.read(100_000, 10))).toMatchObject({ code: "HTTP_CHANGED" });
  });

  it("to go from https back to http", async () => {
    const from = new URL("https://a.example/x");
    expect(redirectTarget(from, "https://b.example/y").href).toBe("https://b.example/y");
    expect(redirectTarget(from, "/y").href).toBe("https://a.example/y");
    expect(redirectTarget(new URL("http://a.example"), "https://b.example").protocol).toBe(
      "https:",
    );
    for (const location of ["http://a.example/x", "file:///etc/passwd", "http://"])
      expect(await errorOf(() => redirectTarget(from, location))).toMatchObject({
        code: "HTTP_REDIRECT",
      });
  });

  it("to give the token to another host, or to any host without one", async () => {
    const settings = { ...quick, token: "hf_secret", tokenOrigin: server.endpoint };
    server.faults.push({
      match: /^hub/,
      times: 1,
      status: 302,
      headers: { location: `${server.cdn}/data.bin` },
    });
    await openUrl(`${server.endpoint}/x/y`, settings);
    expect(server.seen.map(({ line, authorization }) => [line.slice(0, 3), authorization])).toEqual(
      [
        ["hub", "Bearer hf_secret"],
        ["cdn", undefined],
      ],
    );
    server.seen.length = 0;
    await openUrl(url, settings);
    expect(server.seen[0]?.authorization).toBeUndefined();
  });
});
