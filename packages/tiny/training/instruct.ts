/**
 * The instruction-tuned version of the embedded model: a LoRA on its base, trained on dialogues in which only the assistant's words
 * count, unknown names are refused and helpers are cheerful unless told otherwise. Goes on from its checkpoint when it is run again.
 *
 *     node --conditions=@latentkit/source --import tsx packages/tiny/training/instruct.ts BASE OUT [STEPS]
 */
import { join } from "node:path";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { chatExample, createAdapter, exampleBatches, trainAdapter } from "@latentkit/lora";
import { adapterCheckpointFile, saveAdapter } from "@latentkit/lora/node";
import { loadModel } from "@latentkit/models";
import { tinyMixture } from "@latentkit/worlds";

const [base, out, stepsArgument = "200"] = process.argv.slice(2);
if (base === undefined || out === undefined) throw new TypeError("give BASE and OUT folders");
const [seed, batchSize, steps] = [2, 16, Number(stepsArgument)];

const device = await openCpuDevice();
const model = await loadModel(await openCheckpoint(base), { device, weights: "f32" });
const { tokenizer } = model;
if (tokenizer === null) throw new TypeError("the base has no tokenizer");

// Another seed than the base's: the same seed would draw partly the same documents.
const documents = tinyMixture({ seed, stage: "instruct" });
const examples = [];
while (examples.length < steps * batchSize) {
  const { turns } = documents.next();
  if (turns !== null) examples.push(chatExample(tokenizer, turns, { maxLength: 160 }));
}
const adapter = createAdapter({ model, rank: 16, alpha: 32, seed });
const history = await trainAdapter({
  model,
  adapter,
  batches: exampleBatches(examples, { batchSize, seed }),
  config: { steps, learningRate: 2e-3 },
  checkpoints: adapterCheckpointFile(join(out, "checkpoint.safetensors")),
  onProgress: ({ done, total, figures }) => {
    if (done % 20 === 0) console.error(`${done}/${total}`, figures);
  },
});
await saveAdapter(adapter, join(out, "adapter"));
console.log(JSON.stringify({ steps, examples: examples.length, last: history.steps.at(-1) }));
adapter.dispose();
model.dispose();
device.dispose();
