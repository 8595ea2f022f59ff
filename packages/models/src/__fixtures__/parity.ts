// How near a family's fixture is to transformers; see oracles/models/families.py.
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { crossEntropy, type Device, slice, type Tensor, valueAndGrad } from "@latentkit/tensor";
import type { LanguageModel } from "../language-model.ts";
import { loadModel } from "../load-model.ts";
import { deviation, openFixture, openTiny, read } from "./support.ts";

/** Every case that there is. */
export const parityCases: readonly string[] = readdirSync(new URL("families/", import.meta.url)).sort();

/** A case's golden and its tokens. */
export async function openGolden(name: string) {
  const golden = await openFixture(`families/${name}/golden.safetensors`);
  const [batch = 0, length = 0] = golden.info("tokens").shape;
  const flat = await golden.readIntegers("tokens");
  const tokens = Array.from({ length: batch }, (_, row) => [...flat.subarray(row * length, (row + 1) * length)]);
  return { golden, tokens };
}

export async function openCase(name: string, device: Device, weights: "f32" | "stored" = "f32"): Promise<LanguageModel> {
  return loadModel(await openTiny(`families/${name}`), { device, weights });
}

/** The case's `config.json` in the words of transformers 4 or 5. */
export async function configOf(name: string, spelling: "v4" | "v5"): Promise<Record<string, unknown>> {
  const file = spelling === "v4" ? "config.v4.json" : "config.json";
  return JSON.parse(await readFile(new URL(`families/${name}/${file}`, import.meta.url), "utf8"));
}

/** The mean cross-entropy of each next token, as transformers computes it. */
export function nextTokenLoss(model: LanguageModel, tokens: readonly (readonly number[])[]): Tensor {
  const { device, config } = model;
  return device.scope(() => {
    const { logits } = model.run(tokens);
    if (logits === null) throw new Error("a run of all logits has logits");
    const length = (tokens[0]?.length ?? 0) - 1;
    const rows = tokens.length * length;
    const seen = slice(logits, { axis: 1, start: 0, end: length }).reshape([rows, config.vocabulary]);
    const targets = device.tensor(Int32Array.from(tokens.flatMap((row) => row.slice(1))), [rows]);
    return crossEntropy(seen, targets, { reduction: "mean" });
  });
}

/** max|difference| / std, the largest over a kind's tensors; for the loss the relative difference. */
export interface ParityRow {
  readonly logits: number;
  /** The residual stream before, inside and after each block. */
  readonly hidden: number;
  /** All other sites but patterns. */
  readonly sites: number;
  readonly patterns: number;
  readonly loss: number;
  readonly gradients: number;
  /** By the golden's names. */
  readonly each: ReadonlyMap<string, number>;
}

/** Compares everything that a case's golden holds. */
export async function measureParity(name: string, device: Device): Promise<ParityRow> {
  const { golden, tokens } = await openGolden(name);
  using model = await openCase(name, device);
  const each = new Map<string, number>();
  const sites = model.sites().map((site) => site.name);
  const run = await read(model, tokens, { capture: sites });
  const fused = await read(model, tokens);
  each.set("logits", deviation(fused.logits, await golden.readFloats("logits")));
  for (const site of golden.names().filter((known) => known.includes("hook_"))) each.set(site, deviation(run.at(site), await golden.readFloats(site)));

  const parameters = model.trainableParameters();
  const [loss, gradients] = device.scope(() => {
    const { value, gradients: found } = valueAndGrad<typeof parameters, [], Tensor>(() => nextTokenLoss(model, tokens))(parameters);
    return [value, found] as const;
  });
  const [expected = Number.NaN] = await golden.readFloats("loss");
  each.set("loss", Math.abs((await loss.item()) - expected) / Math.abs(expected));
  loss.dispose();
  for (const [parameter, gradient] of Object.entries(gradients)) {
    each.set(`gradient.${parameter}`, deviation(await gradient.floats(), await golden.readFloats(`gradient.${parameter}`)));
    gradient.dispose();
  }
  const largest = (kind: (key: string) => boolean) => Math.max(...[...each].filter(([key]) => kind(key)).map(([, value]) => value));
  const isHidden = (key: string) => key.includes("hook_resid_");
  const isPattern = (key: string) => key.endsWith("hook_pattern");
  return {
    logits: largest((key) => key === "logits"),
    hidden: largest(isHidden),
    sites: largest((key) => key.includes("hook_") && !isPattern(key) && !isHidden(key)),
    patterns: largest(isPattern),
    loss: largest((key) => key === "loss"),
    gradients: largest((key) => key.startsWith("gradient.")),
    each,
  };
}
