// Started by node/resume.test.ts, which kills it: trains into the folder named on the command line.
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { trainSae } from "../node/train-sae.ts";
import { smallRun } from "./small-run.ts";

const [folder = "", steps = "0"] = process.argv.slice(2);
await trainSae({
  ...smallRun("topk", new Device(createReferenceBackend()), Number(steps)),
  checkpointDir: folder,
});
