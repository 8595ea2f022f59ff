import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { renderTable } from "@latentkit/report";
import { attentionBench } from "./attention.bench.ts";
import { elementwiseBench } from "./elementwise.bench.ts";
import { forwardBench } from "./forward.bench.ts";
import { gemmBench } from "./gemm.bench.ts";
import { generateBench } from "./generate.bench.ts";
import { harvest1024Bench, harvest128Bench } from "./harvest.bench.ts";
import { indexingBench } from "./indexing.bench.ts";
import { linalgBench } from "./linalg.bench.ts";
import { loadBench } from "./load.bench.ts";
import { normaliseBench } from "./normalise.bench.ts";
import { optimiseBench } from "./optimise.bench.ts";
import type { Bench, BenchRow } from "./rows.ts";
import { saeEncodeBench } from "./sae-encode.bench.ts";
import { saeEndToEndBench, saeManyBench } from "./sae-live.bench.ts";
import { saeMemoryBench } from "./sae-memory.bench.ts";
import { saeTrainWidthBench } from "./sae-train-width.bench.ts";
import { saeTrainingBench } from "./sae-training.bench.ts";
import { sparseBench } from "./sparse.bench.ts";
import { storedBench } from "./stored.bench.ts";
import { trainLmBench } from "./train-lm.bench.ts";
import { wasmGemmBench } from "./wasm-gemm.bench.ts";
import { webGpuDecodeBench } from "./webgpu-decode.bench.ts";
import { webGpuGemmBench } from "./webgpu-gemm.bench.ts";
import { webGpuHarvestBench } from "./webgpu-harvest.bench.ts";
import { webGpuSaeTrainBench } from "./webgpu-sae-train.bench.ts";

const benches: readonly Bench[] = [
  gemmBench,
  wasmGemmBench,
  normaliseBench,
  elementwiseBench,
  attentionBench,
  sparseBench,
  optimiseBench,
  storedBench,
  indexingBench,
  linalgBench,
  forwardBench,
  harvest128Bench,
  harvest1024Bench,
  generateBench,
  loadBench,
  saeTrainingBench,
  saeTrainWidthBench,
  saeEncodeBench,
  saeMemoryBench,
  saeEndToEndBench,
  saeManyBench,
  trainLmBench,
  webGpuGemmBench,
  webGpuSaeTrainBench,
  webGpuDecodeBench,
  webGpuHarvestBench,
];

/**
 * `npm run bench -- [FILTER] [--json FILE]`: prints a row per case, beside its peer where `PEER_PYTHON` gives one. FILTER is how a bench's
 * name begins, or a part of it where none begins so.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" } },
});
const filter = positionals[0] ?? "";
const rows: BenchRow[] = [];
const save = async (): Promise<void> => {
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
};
const beginning = benches.filter(({ name }) => name.startsWith(filter));
const chosen =
  beginning.length > 0 ? beginning : benches.filter(({ name }) => name.includes(filter));
for (const bench of chosen) {
  for await (const row of bench.run()) {
    rows.push(row);
    const ratio = row.ratio === null ? "" : `, ${row.ratio.toFixed(2)}x`;
    process.stderr.write(`${row.bench}: ${row.case}: ${digits(row.ours)} ${row.unit}${ratio}\n`);
    await save(); // a run that is stopped keeps what it has
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
      digits(row.ours),
      row.peer === null ? "" : digits(row.peer),
      row.ratio?.toFixed(2) ?? "",
      row.peerName ?? "",
      row.device,
    ]),
  )}\n`,
);

/** Three digits that count, or all before the point. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
