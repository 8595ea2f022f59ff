// Bundled and started by node/killed.test.ts, which kills it: trains two SAEs of one stream into the folder on the command line.
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { join } from "node:path";
import { checkpointFolder } from "../node/checkpoint-folder.ts";
import { trainSaes } from "../train/train-saes.ts";
import { smallTrainings } from "./small-trainings.ts";

const [folder = "", steps = "0"] = process.argv.slice(2);
await trainSaes({
  device: new Device(createReferenceBackend()),
  saes: smallTrainings(Number(steps), (name) => checkpointFolder(join(folder, name))),
  onStep: ({ done }) => void process.stdout.write(`${done}\n`),
});
