// Started by node/compare/run-comparison.test.ts, which kills it: runs the small comparison into the folder on the command line.
import { runComparison } from "../node/compare/run-comparison.ts";
import { smallComparison, twoArchitectures } from "./small-comparison.ts";
import { smallDocuments, smallModel } from "./small-suite.ts";

const [out = ""] = process.argv.slice(2);
await runComparison({
  comparison: smallComparison(twoArchitectures),
  model: smallModel(),
  documents: smallDocuments(),
  out,
});
