// Run as a process of its own, to be killed: harvest-child.ts OUT DELAY_MS
import { describeError } from "@latentkit/core";
import { harvest } from "../harvest.ts";
import { fakeHarvest } from "./fake-harvest.ts";

const [out = "", delay = "0"] = process.argv.slice(2);
try {
  await harvest({
    ...fakeHarvest(out, { delay: Number(delay) }),
    onProgress: ({ stage, done }) => process.stdout.write(`${stage} ${done}\n`),
  });
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}
