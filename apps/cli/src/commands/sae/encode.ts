import { FormatError, MismatchError, throwIfAborted } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { openSafetensorsFile, writeSafetensors } from "@latentkit/loaders/node";
import type { Sae } from "@latentkit/sae";
import { loadSae } from "@latentkit/sae/node";
import { sparseToDense } from "@latentkit/tensor";
import type { Command } from "commander";
import { z } from "zod";
import { openChosenDevice } from "../../device.ts";
import {
  commonSchema,
  deviceSchema,
  parseOptions,
  withCommonOptions,
  deviceFlag,
} from "../../options.ts";
import { printResult } from "../../output.ts";
import { runStage } from "../../stage.ts";
import type { Terminal } from "../../terminal.ts";
import { saeArgument, saeSource, saeSourceSchema, withSaeSource } from "./source.ts";

/** Rows encoded at once: bounds the dense features on the device. */
const blockRows = 512;

const encodeSchema = z.object({
  ...commonSchema,
  ...deviceSchema,
  ...saeSourceSchema,
  input: z.string(),
  out: z.string(),
});

/** Adds `sae encode`. */
export function addSaeEncode(sae: Command, terminal: Terminal): void {
  withCommonOptions(
    withSaeSource(
      sae
        .command("encode")
        .description(
          "Encode activations: `input [n, d_in]` gives `features [n, d_sae]` and `reconstruction [n, d_out]`.",
        )
        .argument("<sae>", saeArgument)
        .requiredOption("--input <file>", "safetensors with a tensor named input")
        .requiredOption("--out <file>", "safetensors file to write"),
    ),
    deviceFlag,
  ).action(async (source: string, raw: unknown) => {
    const options = parseOptions(encodeSchema, raw);
    using device = await openChosenDevice(terminal, options);
    using loaded = await loadSae(source, { ...saeSource(options, terminal), device });
    const { data, rows } = await readInput(options.input, loaded);
    const { dIn, dSae } = loaded.config;
    const { dOut } = loaded;
    const { features, reconstruction } = await runStage(
      terminal,
      { title: "encode", quiet: options.quiet },
      (onProgress) => encodeAll(loaded, data, rows, { signal: terminal.signal, onProgress }),
    );
    const identity = await loaded.identity();
    await writeSafetensors(
      options.out,
      [
        { name: "features", dtype: "f32", shape: [rows, dSae], bytes: features },
        { name: "reconstruction", dtype: "f32", shape: [rows, dOut], bytes: reconstruction },
      ],
      { sae: identity },
    );
    const l0 =
      features.reduce((active, value) => active + (value !== 0 ? 1 : 0), 0) / Math.max(1, rows);
    printResult(
      terminal,
      options.json,
      { out: options.out, rows, dIn, dOut, dSae, l0, sae: identity },
      () => ({
        columns: ["tensor", "shape"],
        rows: [
          ["features", `[${rows}, ${dSae}]`],
          ["reconstruction", `[${rows}, ${dOut}]`],
        ],
        footer: `L0 ${l0.toFixed(1)}; written to ${options.out}`,
      }),
    );
  });
}

/** Features and reconstruction of all rows, block by block. */
async function encodeAll(
  sae: Sae,
  data: Float32Array,
  rows: number,
  { signal, onProgress }: LongCallOptions,
): Promise<{ features: Float32Array; reconstruction: Float32Array }> {
  const { dIn, dSae } = sae.config;
  const { dOut } = sae;
  const features = new Float32Array(rows * dSae);
  const reconstruction = new Float32Array(rows * dOut);
  for (let start = 0; start < rows; start += blockRows) {
    throwIfAborted(signal);
    const end = Math.min(rows, start + blockRows);
    const [dense, decoded] = sae.device.scope(() => {
      const x = sae.device.tensor(data.subarray(start * dIn, end * dIn), [end - start, dIn]);
      const sparse = sae.encode(x);
      return [sparseToDense(sparse), sae.decode(sparse, x)] as const;
    });
    features.set(await dense.floats(), start * dSae);
    reconstruction.set(await decoded.floats(), start * dOut);
    dense.dispose();
    decoded.dispose();
    onProgress?.({ stage: "encode", done: end, total: rows, unit: "rows" });
  }
  return { features, reconstruction };
}

/** The tensor `input`, checked against the SAE's width. */
async function readInput(path: string, sae: Sae): Promise<{ data: Float32Array; rows: number }> {
  const store = await openSafetensorsFile(path);
  try {
    const { shape } = store.info("input");
    const [rows, width] = shape;
    if (rows === undefined || width === undefined || shape.length !== 2) {
      throw new FormatError({
        code: "INPUT_SHAPE",
        message: `tensor "input" has shape [${shape.join(", ")}], but [n, ${sae.config.dIn}] was expected`,
        fix: "store the activations as one matrix, a row for each token",
        where: path,
      });
    }
    if (width !== sae.config.dIn) {
      throw new MismatchError({
        code: "SAE_WIDTH",
        message: `tensor "input" has rows of ${width}, but the SAE reads activations of width ${sae.config.dIn}`,
        fix: "use activations of the site that the SAE was trained on",
        where: path,
      });
    }
    return { data: await store.readFloats("input"), rows };
  } finally {
    await store.close();
  }
}
