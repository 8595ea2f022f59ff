import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { renderTable } from "@latentkit/report";
import { attentionBench } from "./attention.bench.ts";
import { elementwiseBench } from "./elementwise.bench.ts";
import { forwardBench } from "./forward.bench.ts";
import { indexingBench } from "./indexing.bench.ts";
import { normaliseBench } from "./normalise.bench.ts";
import { optimiseBench } from "./optimise.bench.ts";
import type { BenchRow } from "./rows.ts";
import { saeTrainingBench } from "./sae-training.bench.ts";

/** `npm run bench -- [FILTER] [--json FILE]`: prints a row per case, beside its peer where `PEER_PYTHON` gives one. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" } },
});
const filter = positionals[0] ?? "";
const rows: BenchRow[] = [];
const benches = [
  attentionBench,
  elementwiseBench,
  forwardBench,
  indexingBench,
  normaliseBench,
  optimiseBench,
  saeTrainingBench,
];
for (const bench of benches.filter(({ name }) => name.includes(filter))) {
  for await (const row of bench.run()) {
    rows.push(row);
    process.stderr.write(`${row.bench}: ${row.case}: ${row.ours.toFixed(0)} ${row.unit}\n`);
  }
}
process.stdout.write(
  `${renderTable(
    ["bench", "case", "unit", "ours", "peer", "ratio", "peer name", "device"].map((name) => ({
      name,
    })),
    rows.map((row) => [
      row.bench,
      row.case,
      row.unit,
      row.ours.toFixed(0),
      row.peer?.toFixed(0) ?? "",
      row.ratio?.toFixed(2) ?? "",
      row.peerName ?? "",
      row.device,
    ]),
  )}\n`,
);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
