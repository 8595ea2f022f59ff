// Run as a process of its own, to be killed: harvest-model-child.mjs CHECKPOINT TEXT OUT
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { loadModel } from "@latentkit/models";
import { harvest } from "../harvest.ts";
import { smallHarvest } from "./small-harvest.ts";

const [path = "", text = "", out = ""] = process.argv.slice(2);
const device = await openCpuDevice({ matmul: "wasm" });
const model = await loadModel(await openCheckpoint(path), { device });
await harvest({
  ...smallHarvest(model, text, out),
  onProgress: ({ stage, done }) => process.stdout.write(`${stage} ${done}\n`),
});
