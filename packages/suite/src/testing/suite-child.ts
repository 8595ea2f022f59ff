// Started by node/run-suite.test.ts, which kills it: runs the small suite of one place into the folder on the command line.
import { runSuite } from "../node/run-suite.ts";
import { onePlace, smallDocuments, smallModel, smallSuite } from "./small-suite.ts";

const [out = ""] = process.argv.slice(2);
await runSuite({
  suite: smallSuite(onePlace),
  model: smallModel(),
  documents: smallDocuments(),
  out,
});
