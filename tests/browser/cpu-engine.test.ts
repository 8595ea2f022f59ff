import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium, serveSite, withoutChromium } from "../support/chromium.ts";

/** What runs in the page and in the worker: training steps of a small network, and what the device says of itself. */
const program = `
  import { openCpuDevice } from "@latentkit/backend-cpu";
  import { matmul, mean, mul, square, sub, sum, valueAndGrad } from "@latentkit/tensor";

  export async function run() {
    using device = await openCpuDevice();
    const x = device.tensor(Float32Array.from({ length: 64 * 8 }, (_, i) => Math.sin(i)), [64, 8]);
    const y = device.tensor(Float32Array.from({ length: 64 * 4 }, (_, i) => Math.cos(i)), [64, 4]);
    let w = device.zeros([8, 4]);
    const losses = [];
    for (let step = 0; step < 20; step++) {
      const { value, gradients } = valueAndGrad((weight) => mean(square(sub(matmul(x, weight), y)), { axis: [0, 1] }))(w);
      losses.push(await value.item());
      const next = device.scope(() => sub(w, mul(gradients, 0.5)));
      for (const tensor of [value, gradients, w]) tensor.dispose();
      w = next;
    }
    for (const tensor of [x, y, w]) tensor.dispose();
    return { losses, info: device.info, live: device.memory().liveBytes, isolated: globalThis.crossOriginIsolated };
  }
`;

interface Outcome {
  readonly losses: readonly number[];
  readonly info: { readonly name: string; readonly matmul: string; readonly threads: number };
  readonly live: number;
  readonly isolated: boolean;
}

describe.skipIf(withoutChromium("the engine's browser tests"))("the CPU engine in Chromium", () => {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof serveSite>>;

  beforeAll(async () => {
    const bundle = async (tail: string): Promise<string> => {
      const { outputFiles } = await build({
        stdin: {
          contents: program + tail,
          resolveDir: fileURLToPath(new URL("..", import.meta.url)),
          loader: "ts",
        },
        bundle: true,
        write: false,
        format: "esm",
        platform: "browser",
        conditions: ["@latentkit/source"],
        target: "es2022",
      });
      return outputFiles[0]?.text ?? "";
    };
    const files: Readonly<Record<string, string>> = {
      "/index.html": "<!doctype html><title>engine</title>",
      "/page.js": await bundle("globalThis.runEngine = run;"),
      "/worker.js": await bundle(
        "run().then((r) => postMessage(r), (e) => postMessage({ failed: String(e) }));",
      ),
    };
    server = await serveSite((path) => Promise.resolve(files[path] ?? null));
    browser = await launchChromium({ webgpu: false });
  });
  afterAll(async () => {
    await browser?.close();
    await server[Symbol.asyncDispose]();
  });

  async function runIn(where: "page" | "worker", isolated: boolean): Promise<Outcome> {
    const query = isolated ? "?isolated" : "";
    const page = await browser.newPage();
    try {
      await page.goto(`${server.address}${query}`);
      // Text: these tests are compiled without the DOM's types.
      return await page.evaluate<Outcome>(
        where === "page"
          ? `import("/page.js${query}").then(() => runEngine())`
          : `new Promise((resolve) => {
               const worker = new Worker("/worker.js${query}", { type: "module" });
               worker.onmessage = (event) => resolve(event.data);
             })`,
      );
    } finally {
      await page.close();
    }
  }

  it.each([
    ["page", false],
    ["page", true],
    ["worker", false],
    ["worker", true],
  ] as const)("trains in a %s, cross-origin isolated: %s", async (where, isolated) => {
    const { losses, info, live, isolated: found } = await runIn(where, isolated);
    expect(found).toBe(isolated);
    expect(info).toMatchObject({ name: "cpu", matmul: "wasm", threads: 1 });
    expect(live).toBe(0);
    expect(losses).toHaveLength(20);
    expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) * 0.999);
    for (const loss of losses) expect(Number.isFinite(loss)).toBe(true);
  });

  it("gives the same bits in a page and in a worker", async () => {
    const [page, worker] = [await runIn("page", false), await runIn("worker", false)];
    expect(worker.losses).toEqual(page.losses);
  });
});
