// Started by node/resume.test.ts, which kills it: trains into the folder named on the command line.
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { trainLanguageModel } from "../node/train-language-model.ts";
import { smallRun } from "./small-run.ts";

const [folder = "", steps = "0"] = process.argv.slice(2);
const device = new Device(createReferenceBackend());
await trainLanguageModel({ ...(await smallRun(device, Number(steps))), checkpointDir: folder });
