/**
 * One SAE recipe, trained by @latentkit/sae on a site of the embedded model, and everything that `sae_run.py` needs to train
 * the same one in PyTorch: the activations, the starting weights and the order in which batches come.
 *
 *     node --conditions=@latentkit/source --import tsx oracles/tiny/sae-run.ts WORK [SEED...]
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { writeSafetensors } from "@latentkit/loaders/node";
import { shortRunJumpRelu } from "@latentkit/sae";
import { trainSae } from "@latentkit/sae/node";
import { loadTiny } from "@latentkit/tiny/node";
import { tinyMixture } from "@latentkit/worlds";

const [work = "out/sae-run", ...seedArguments] = process.argv.slice(2);
const seeds = seedArguments.length === 0 ? [0, 1, 2] : seedArguments.map(Number);
const site = "blocks.3.hook_resid_post";
const [contextSize, trainRows, heldOutRows] = [128, 400_000, 20_000];

await mkdir(work, { recursive: true });
const device = await openCpuDevice();
const model = await loadTiny({ device, version: "base" });
const width = model.config.dModel;

/** Activations of whole contexts; the first position of each is a sink and left out. */
async function activations(rows: number, seed: number): Promise<Float32Array<ArrayBuffer>> {
  const documents = tinyMixture({ seed, stage: "base" });
  const tokenizer = model.tokenizer;
  const start = tokenizer?.specialTokens.bos;
  if (tokenizer === null || start === undefined || start === null)
    throw new TypeError("the embedded model has a tokenizer with a text-start token");
  const out = new Float32Array(rows * width);
  let [filled, ids] = [0, [] as number[]];
  while (filled < rows) {
    while (ids.length < 16 * contextSize)
      ids.push(start, ...tokenizer.encode(documents.next().text).ids);
    const contexts = Array.from({ length: 16 }, (_, row) =>
      ids.slice(row * contextSize, (row + 1) * contextSize),
    );
    ids = ids.slice(16 * contextSize);
    using run = model.run(contexts, { capture: [site], logits: "none" });
    const values = (await run.captured.get(site)?.floats()) ?? new Float32Array(0);
    for (let row = 0; row < 16 && filled < rows; row++) {
      const begin = (row * contextSize + 1) * width;
      const kept = values.subarray(begin, begin + Math.min(contextSize - 1, rows - filled) * width);
      out.set(kept, filled * width);
      filled += kept.length / width;
    }
  }
  return out;
}

/** The uniform numbers that the decoder's rows start from: the same generator, seed and stream as in training. */
function uniforms(dSae: number, seed: number): Float32Array {
  const random = new Random(seed, 0x5ae);
  return Float32Array.from({ length: dSae * width }, () => random.uniform());
}

const train = await activations(trainRows, 7001);
const heldOut = await activations(heldOutRows, 7002);
const results = [];
for (const seed of seeds) {
  const config = shortRunJumpRelu({ dSae: 6 * width, seed, tokens: 1_500_000, sparsity: 1e-3 });
  const { sae, history } = await trainSae({
    device,
    config,
    batches: arrayBatches(train, width, seed),
    heldOut,
  });
  sae.dispose();
  const last = history.points.at(-1);
  results.push({ seed, config, inputScale: history.inputScale, last });
  // Row numbers in place of rows: the order is a function of the seed and the number of rows.
  const order = arrayBatches(
    Float32Array.from({ length: trainRows }, (_, row) => row),
    1,
    seed,
  );
  const presented = new Int32Array(config.steps * config.batchSize);
  for (let step = 0; step < config.steps; step++)
    presented.set(await order.next(config.batchSize), step * config.batchSize);
  await writeSafetensors(join(work, `start-${seed}.safetensors`), [
    { name: "order", shape: [presented.length], dtype: "i32", bytes: presented },
    {
      name: "uniform",
      shape: [config.dSae, width],
      dtype: "f32",
      bytes: uniforms(config.dSae, seed),
    },
  ]);
  console.log(seed, last);
}
await writeSafetensors(join(work, "activations.safetensors"), [
  { name: "train", shape: [trainRows, width], dtype: "f32", bytes: train },
  { name: "held_out", shape: [heldOutRows, width], dtype: "f32", bytes: heldOut },
]);
await writeFile(join(work, "ours.json"), JSON.stringify(results, null, 2));
model.dispose();
device.dispose();
