import type { NormaliseKernels, Slice } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { f32, i32, type Issue, type Runtime, u32 } from "../runtime.ts";
import { runningSum } from "./reduce.ts";
import { lanesFor, overRow, rowSum } from "./rows.ts";

const optional = (slice: Slice | null) => (slice === null ? null : read(slice));
const written = (slice: Slice | null) => (slice === null ? null : write(slice));

/** Rows that one invocation adds up for the gradient of a weight. */
const rowsPerChunk = 64;

/**
 * Normalisation of rows, a workgroup to a row. A row is read once for each pass over it that the maths needs (norms and softmax 2 or
 * 3, mostly out of the cache), and written once.
 */
export function normaliseKernels(runtime: Runtime): NormaliseKernels {
  /** A kernel over rows that depends on nothing but their width. */
  function issueRows(
    name: string,
    operands: Issue["operands"],
    rows: number,
    columns: number,
    text: () => string,
  ): void {
    runtime.issue({
      name,
      operands,
      parameters: { columns: u32(columns) },
      groups: rows,
      lanes: lanesFor(columns),
      body: () => `${runningSum}${text()}`,
    });
  }
  return {
    rmsNorm(x, weight, rows, columns, epsilon, out, scale) {
      runtime.issue({
        name: "rmsNorm",
        operands: { x: read(x), weight: optional(weight), out: write(out), scale: written(scale) },
        parameters: { columns: u32(columns), epsilon: f32(epsilon) },
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  ${rowSum("squares", "load_x(at) * load_x(at)")}
  let length = sqrt(squares / f32(p.columns) + p.epsilon);
  ${scale === null ? "" : "if (lane == 0u) { store_scale(group, length); }"}
  ${overRow(`store_out(at, load_x(at) / length${weight === null ? "" : " * load_weight(c)"});`)}
}`,
      });
    },

    layerNorm(x, weight, bias, rows, columns, epsilon, out, mean, scale) {
      runtime.issue({
        name: "layerNorm",
        operands: {
          x: read(x),
          weight: optional(weight),
          bias: optional(bias),
          out: write(out),
          mean: written(mean),
          scale: written(scale),
        },
        parameters: { columns: u32(columns), epsilon: f32(epsilon) },
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  ${rowSum("sum", "load_x(at)")}
  let centre = sum / f32(p.columns);
  ${rowSum("squares", "(load_x(at) - centre) * (load_x(at) - centre)", 2)}
  let length = sqrt(squares / f32(p.columns) + p.epsilon);
  ${mean === null ? "" : "if (lane == 0u) { store_mean(group, centre); }"}
  ${scale === null ? "" : "if (lane == 0u) { store_scale(group, length); }"}
  ${overRow(`store_out(at, (load_x(at) - centre) / length${weight === null ? "" : " * load_weight(c)"}${bias === null ? "" : " + load_bias(c)"});`)}
}`,
      });
    },

    normGradient(plan, dX, dWeight, dBias) {
      const { rows, columns } = plan;
      const inputs = {
        x: read(plan.x),
        mean: optional(plan.mean),
        scale: read(plan.scale),
        gradient: read(plan.gradient),
      };
      const centre = plan.mean === null ? "0.0" : "load_mean(row)";
      const normal = `(load_x(at) - ${centre}) / load_scale(row)`;
      if (dX !== null)
        runtime.issue({
          name: "normGradient",
          operands: {
            ...inputs,
            weight: optional(plan.weight),
            scaleGradient: optional(plan.scaleGradient),
            dX: write(dX),
          },
          parameters: { columns: u32(columns) },
          groups: rows,
          lanes: lanesFor(columns),
          body: () => `${runningSum}
fn inner_of(at: u32, c: u32) -> f32 { return load_gradient(at)${plan.weight === null ? "" : " * load_weight(c)"}; }
fn run(group: u32, lane: u32) {
  let row = group;
  ${plan.mean === null ? "let meanInner = 0.0;" : `${rowSum("inner", "inner_of(at, c)")}\n  let meanInner = inner / f32(p.columns);`}
  ${rowSum("product", `inner_of(at, c) * (${normal})`, 2)}
  let meanProduct = product / f32(p.columns);
  let ofScale = ${plan.scaleGradient === null ? "0.0" : "load_scaleGradient(row) / f32(p.columns)"};
  ${overRow(`let n = ${normal};
    store_dX(at, (inner_of(at, c) - meanInner - n * meanProduct) / load_scale(row) + ofScale * n);`)}
}`,
        });
      if (dWeight !== null)
        columnSums(
          runtime,
          plan.rows,
          columns,
          "weight",
          inputs,
          `load_gradient(at) * ((load_x(at) - ${centre}) / load_scale(row))`,
          dWeight,
        );
      if (dBias !== null)
        columnSums(
          runtime,
          rows,
          columns,
          "bias",
          { gradient: inputs.gradient },
          "load_gradient(at)",
          dBias,
        );
    },

    softmaxRows(x, rows, columns, out) {
      issueRows(
        "softmaxRows",
        { x: read(x), out: write(out) },
        rows,
        columns,
        () => `${rowLargest}
fn run(group: u32, lane: u32) {
  let largest = row_largest(group, lane);
  ${rowSum("sum", "exp_of(load_x(at) - largest)")}
  ${overRow("store_out(at, exp_of(load_x(at) - largest) / sum);")}
}`,
      );
    },

    softmaxGradientRows(y, gradient, rows, columns, dX) {
      const operands = { y: read(y), gradient: read(gradient), dX: write(dX) };
      issueRows(
        "softmaxGradientRows",
        operands,
        rows,
        columns,
        () => `
fn run(group: u32, lane: u32) {
  ${rowSum("mean", "load_gradient(at) * load_y(at)")}
  ${overRow("store_dX(at, load_y(at) * (load_gradient(at) - mean));")}
}`,
      );
    },

    logSoftmaxRows(x, rows, columns, out) {
      issueRows(
        "logSoftmaxRows",
        { x: read(x), out: write(out) },
        rows,
        columns,
        () => `${rowLargest}
fn run(group: u32, lane: u32) {
  let largest = row_largest(group, lane);
  ${rowSum("sum", "exp_of(load_x(at) - largest)")}
  let logarithm = log_of(sum);
  ${overRow("store_out(at, (load_x(at) - largest) - logarithm);")}
}`,
      );
    },

    logSoftmaxGradientRows(y, gradient, rows, columns, dX) {
      const operands = { y: read(y), gradient: read(gradient), dX: write(dX) };
      issueRows(
        "logSoftmaxGradientRows",
        operands,
        rows,
        columns,
        () => `
fn run(group: u32, lane: u32) {
  ${rowSum("sum", "load_gradient(at)")}
  ${overRow("store_dX(at, load_gradient(at) - exp_of(load_y(at)) * sum);")}
}`,
      );
    },

    crossEntropyRows(logits, targets, plan, out, statistics) {
      const { rows, columns } = plan;
      const smooth = plan.labelSmoothing !== 0;
      runtime.issue({
        name: `crossEntropyRows:${smooth ? "smooth" : ""}`,
        operands: {
          x: read(logits),
          targets: read(targets),
          out: write(out),
          statistics: written(statistics),
        },
        parameters: entropyParameters(plan),
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}${rowLargest}
fn run(group: u32, lane: u32) {
  let largest = row_largest(group, lane);
  ${rowSum("sum", "exp_of(load_x(at) - largest)")}
  // Relative to the largest, so that a small loss keeps its digits.
  ${smooth ? rowSum("rest", "load_x(at) - largest", 2) : ""}
  if (lane != 0u) { return; }
  let t = load_targets(group);
  if (t < 0 || t == p.ignoreIndex) {
    store_out(group, 0.0);
    return;
  }
  let logarithm = log_of(sum);
  let lse = largest + logarithm;
  var loss = nan();
  if (t < i32(p.columns)) {
    let picked = load_x(group * p.columns + u32(t)) - largest;
    loss = logarithm - (1.0 - p.labelSmoothing) * picked;
    ${smooth ? "loss -= p.labelSmoothing * (rest / f32(p.columns));" : ""}
    if (p.zLoss != 0.0) { loss += p.zLoss * lse * lse; }
  }
  store_out(group, loss);
  ${
    statistics === null
      ? ""
      : `store_statistics(2u * group, largest);
  store_statistics(2u * group + 1u, sum);`
  }
}`,
      });
    },

    crossEntropyGradientRows(logits, targets, statistics, gradient, plan, dLogits) {
      const { rows, columns } = plan;
      runtime.issue({
        name: "crossEntropyGradientRows",
        operands: {
          x: read(logits),
          targets: read(targets),
          statistics: read(statistics),
          gradient: read(gradient),
          dX: write(dLogits),
        },
        parameters: entropyParameters(plan),
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `
fn run(group: u32, lane: u32) {
  let t = load_targets(group);
  let ignored = t < 0 || t == p.ignoreIndex;
  if (ignored || t >= i32(p.columns)) {
    let value = select(nan(), 0.0, ignored);
    ${overRow("store_dX(at, value);")}
    return;
  }
  let largest = load_statistics(2u * group);
  let sum = load_statistics(2u * group + 1u);
  let scale = (1.0 + 2.0 * p.zLoss * (largest + log_of(sum))) / sum;
  let even = p.labelSmoothing / f32(p.columns);
  ${overRow(`let wanted = select(0.0, 1.0 - p.labelSmoothing, i32(c) == t) + even;
    store_dX(at, load_gradient(group) * (scale * exp_of(load_x(at) - largest) - wanted));`)}
}`,
      });
    },

    countTargets(targets, rows, ignoreIndex, out) {
      runtime.issue({
        name: "countTargets",
        operands: { targets: read(targets), out: write(out) },
        parameters: { rows: u32(rows), ignoreIndex: i32(ignoreIndex) },
        groups: 1,
        body: () => `
fn run(group: u32, lane: u32) {
  var found = 0u;
  for (var row = lane; row < p.rows; row += LANES) {
    let t = load_targets(row);
    found += u32(t >= 0 && t != p.ignoreIndex);
  }
  let sum = group_count(lane, found);
  if (lane == 0u) { store_out(0u, f32(sum)); }
}`,
      });
    },
  };
}

const rowLargest = `
fn row_largest(group: u32, lane: u32) -> f32 {
  var largest = -infinity();
  ${overRow("largest = larger(largest, load_x(at));")}
  return group_max(lane, largest);
}`;

function entropyParameters(plan: {
  readonly columns: number;
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
  readonly zLoss: number;
}) {
  return {
    columns: u32(plan.columns),
    ignoreIndex: i32(plan.ignoreIndex),
    labelSmoothing: f32(plan.labelSmoothing),
    zLoss: f32(plan.zLoss),
  };
}

/** `out[c] = sum over rows of term`, the rows in chunks that are added up in order. */
function columnSums(
  runtime: Runtime,
  rows: number,
  columns: number,
  name: string,
  operands: Readonly<Record<string, ReturnType<typeof read> | null>>,
  term: string,
  out: Slice,
): void {
  const chunks = Math.max(1, Math.ceil(rows / rowsPerChunk));
  runtime.withScratch([["f32", chunks * columns]], (partial) => {
    runtime.issue({
      name: `normGradient:${name}`,
      operands: { ...operands, partial: write(partial) },
      parameters: { rows: u32(rows), columns: u32(columns), outputs: u32(chunks * columns) },
      groups: Math.ceil((chunks * columns) / 64),
      lanes: 64,
      body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  let output = group * LANES + lane;
  if (output >= p.outputs) { return; }
  let part = output / p.columns;
  clear_total();
  for (var row = part * ${rowsPerChunk}u; row < min(p.rows, (part + 1u) * ${rowsPerChunk}u); row++) {
    let at = row * p.columns + output % p.columns;
    add_term(${term});
  }
  store_partial(output, total_of());
}`,
    });
    runtime.issue({
      name: "normGradient:chunks",
      operands: { partial: read(partial), out: write(out) },
      parameters: { chunks: u32(chunks), columns: u32(columns) },
      groups: Math.ceil(columns / 64),
      lanes: 64,
      body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  let c = group * LANES + lane;
  if (c >= p.columns) { return; }
  clear_total();
  for (var part = 0u; part < p.chunks; part++) { add_term(load_partial(part * p.columns + c)); }
  store_out(c, total_of());
}`,
    });
  });
}
