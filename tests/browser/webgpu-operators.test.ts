import { createReferenceBackend, Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { launchChromium, serveSite, withoutChromium } from "../support/chromium.ts";
import { smoke } from "./operator-smoke.ts";

registerMatchers(expect);

/** The worker opens WebGPU, runs the operators and posts what they gave. */
const program = `
  import { openWebGpuDevice } from "@latentkit/backend-webgpu";
  import { smoke } from "./operator-smoke.ts";
  async function run() {
    using device = await openWebGpuDevice();
    return { name: device.info.name, ...(await smoke(device)) };
  }
  run().then(postMessage, (error) => postMessage({ failed: String(error) }));
`;

interface Outcome {
  readonly failed?: string;
  readonly name: string;
  readonly results: Readonly<Record<string, number[]>>;
  readonly live: number;
}

describe.skipIf(withoutChromium("WebGPU's operators in Chromium"))("WebGPU in Chromium", () => {
  it("gives what the reference gives, in a worker, for operators of every family", async () => {
    const { outputFiles } = await build({
      stdin: { contents: program, resolveDir: import.meta.dirname, loader: "ts" },
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
      conditions: ["@latentkit/source"],
      target: "es2022",
    });
    const files: Readonly<Record<string, string>> = {
      "/index.html": "<!doctype html><title>operators</title>",
      "/worker.js": outputFiles[0]?.text ?? "",
    };
    await using site = await serveSite((path) => Promise.resolve(files[path] ?? null));
    await using browser = await launchChromium({ webgpu: true });
    const page = await browser.newPage();
    await page.goto(site.address);
    // Text: these tests are compiled without the DOM's types.
    const found = await page.evaluate<Outcome>(`new Promise((resolve) => {
      const worker = new Worker("worker.js", { type: "module" });
      worker.onmessage = (event) => resolve(event.data);
      worker.onerror = (event) => resolve({ failed: event.message });
    })`);
    expect(found.failed).toBeUndefined();
    expect(found).toMatchObject({ name: "webgpu", live: 0 });

    using device = new Device(createReferenceBackend());
    const expected = await smoke(device);
    expect(Object.keys(found.results)).toEqual(Object.keys(expected.results));
    for (const [name, numbers] of Object.entries(expected.results)) {
      // Draws are equal bit by bit. The rest is f32, with sums of at most 1,000 terms of size 2 in another order.
      const exact = name === "randomBits" || name === "randomUniform";
      const tolerance = exact ? { rtol: 0, atol: 0 } : { rtol: 2e-5, atol: 2e-5 };
      expect(found.results[name], name).toBeClose(numbers, tolerance);
    }
  });
});
