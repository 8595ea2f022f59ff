// Speed of each kernel at the shapes that matter: SmolLM2-135M on 8 x 128 tokens, an SAE of 16384 latents on 4096 tokens.
// `npm run bench --workspace @latentkit/backend-cpu -- [FILTER] [--matmul wasm]`. Best of several runs, in one process.
import { Random } from "@latentkit/core";
import { openCpuDevice } from "@latentkit/backend-cpu";
import * as ops from "@latentkit/tensor";
import type { Device, Tensor } from "@latentkit/tensor";

/** A kernel at one shape; `flops` and `bytes` (each operand once) are what a run does. */
interface Case {
  readonly name: string;
  readonly flops?: number;
  readonly bytes?: number;
  /** Makes the operands, gives the call to time. */
  readonly prepare: (device: Device) => () => unknown;
}

const [tokens, dModel, dMlp, vocabulary] = [1024, 576, 1536, 49_152];
const [batch, width, k] = [4096, 16_384, 64];
const random = new Random(1);

const pool = random.fillNormal(new Float32Array(1 << 20));
/** Normal numbers, repeated from a pool of a million: making 67 million one by one would take longer than the bench. */
function normal(device: Device, shape: readonly number[], scale = 1): Tensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let at = 0; at < data.length; at += pool.length - 7)
    data.set(pool.subarray(0, Math.min(pool.length - 7, data.length - at)), at);
  if (scale !== 1) for (let at = 0; at < data.length; at++) data[at] = (data[at] ?? 0) * scale;
  return device.tensor(data, shape);
}

function gemm(m: number, n: number, inner: number, transposeB = true): Case {
  return {
    name: `matmul ${m} x ${inner} x ${n}${transposeB ? " (b transposed)" : ""}`,
    flops: 2 * m * n * inner,
    prepare: (device) => {
      const [a, b] = [
        normal(device, [m, inner]),
        normal(device, transposeB ? [n, inner] : [inner, n]),
      ];
      return () => ops.matmul(a, b, { transposeB });
    },
  };
}

function map(
  name: string,
  shape: readonly number[],
  operands: number,
  run: (x: Tensor, y: Tensor) => unknown,
): Case {
  return {
    name: `${name} [${shape.join(", ")}]`,
    bytes: 4 * operands * shape.reduce((product, size) => product * size, 1),
    prepare: (device) => {
      const [x, y] = [normal(device, shape), normal(device, shape)];
      return () => run(x, y);
    },
  };
}

function sparse(
  name: string,
  perRow: number,
  run: (parts: { rows: ops.SparseRows; weight: Tensor; x: Tensor }) => unknown,
): Case {
  return {
    name: `${name} ${batch} rows of ${perRow} in ${width}, ${dModel} columns`,
    flops: 2 * batch * perRow * dModel,
    prepare: (device) => {
      const rows = device.scope(() => {
        const pre = normal(device, [batch, width]);
        return ops.encodeTopK(pre, perRow);
      });
      const parts = {
        rows,
        weight: normal(device, [width, dModel], 0.04),
        x: normal(device, [batch, dModel]),
      };
      return () => run(parts);
    },
  };
}

const cases: readonly Case[] = [
  gemm(1024, 1024, 1024),
  gemm(1024, 1024, 1024, false),
  gemm(tokens, dMlp, dModel),
  gemm(tokens, dModel, dMlp),
  gemm(tokens, vocabulary, dModel),
  gemm(batch, width, dModel),
  gemm(1, vocabulary, dModel),
  gemm(1, dMlp, dModel),
  map("add", [tokens, dModel], 3, (x, y) => ops.add(x, y)),
  map("exp", [tokens, dMlp], 2, (x) => ops.exp(x)),
  map("silu", [tokens, dMlp], 2, (x) => ops.silu(x)),
  map("siluMul", [tokens, dMlp], 3, (x, y) => ops.siluMul(x, y)),
  map("gelu", [tokens, dMlp], 2, (x) => ops.gelu(x)),
  map("geluTanh", [tokens, dMlp], 2, (x) => ops.geluTanh(x)),
  map("rmsNorm", [tokens, dModel], 2, (x) => ops.rmsNorm(x, null, 1e-5)),
  map("softmax", [tokens, 8192], 2, (x) => ops.softmax(x)),
  map("logSoftmax", [tokens, vocabulary], 2, (x) => ops.logSoftmax(x)),
  map("sum rows", [batch, width], 1, (x) => ops.sum(x, { axis: 1 })),
  map("sum columns", [batch, width], 1, (x) => ops.sum(x, { axis: 0 })),
  map("argmax", [tokens, vocabulary], 1, (x) => ops.argmax(x)),
  map("permute to heads", [8, 128, 9, 64], 2, (x) => ops.permute(x, [0, 2, 1, 3])),
  map("transpose", [width, dModel], 2, (x) => ops.permute(x, [1, 0])),
  map("convert to bf16", [batch, dModel], 1.5, (x) => ops.convert(x, "bf16")),
  map("convert to f16", [batch, dModel], 1.5, (x) => ops.convert(x, "f16")),
  {
    name: "attention 8 x 128, 9 heads of 64, 3 for keys",
    flops: 8 * 9 * 128 * 128 * 64 * 2,
    prepare: (device) => {
      const [q, key, value] = [
        normal(device, [8, 128, 9, 64]),
        normal(device, [8, 128, 3, 64]),
        normal(device, [8, 128, 3, 64]),
      ];
      return () => ops.attention(q, key, value, { scale: 0.125 });
    },
  },
  {
    name: "attention 1 x 2048, 9 heads of 64, 3 for keys",
    flops: 9 * 2048 * 2048 * 64 * 2,
    prepare: (device) => {
      const [q, key, value] = [
        normal(device, [1, 2048, 9, 64]),
        normal(device, [1, 2048, 3, 64]),
        normal(device, [1, 2048, 3, 64]),
      ];
      return () => ops.attention(q, key, value, { scale: 0.125 });
    },
  },
  map("encodeTopK 64 of", [batch, width], 1, (x) => ops.encodeTopK(x, k)),
  map("encodeTopK 288 of", [batch, width], 1, (x) => ops.encodeTopK(x, 288)),
  {
    name: `encodeJumpRelu [${batch}, ${width}], half fire`,
    bytes: 4 * batch * width * 2.5,
    prepare: (device) => {
      const [pre, threshold] = [normal(device, [batch, width]), device.full([width], 0.001)];
      return () => ops.encodeJumpRelu(pre, threshold, { bandwidth: 0.001 });
    },
  },
  {
    name: `encodeJumpRelu [${batch}, ${width}], 1% fire`,
    bytes: 4 * batch * width,
    prepare: (device) => {
      const [pre, threshold] = [normal(device, [batch, width]), device.full([width], 2.33)];
      return () => ops.encodeJumpRelu(pre, threshold, { bandwidth: 0.001, capacity: 1024 });
    },
  },
  ...[64, 512, 2048].flatMap((perRow) => [
    sparse("sparseDecode", perRow, ({ rows, weight }) => ops.sparseDecode(rows, weight, null)),
    sparse("sparseDot", perRow, ({ rows, weight, x }) => ops.sparseDot(rows, weight, x)),
    sparse("sparseOuterAdd", perRow, ({ rows, weight, x }) =>
      ops.sparseOuterAdd(rows, rows.values, x, weight),
    ),
  ]),
  {
    name: `adam [${width}, ${dModel}]`,
    bytes: 4 * 7 * width * dModel,
    prepare: (device) => {
      const [parameter, gradient, first, second] = [0, 1, 2, 3].map(() =>
        normal(device, [width, dModel]),
      ) as [Tensor, Tensor, Tensor, Tensor];
      const plan = {
        learningRate: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weightDecay: 0,
        step: 1,
      };
      ops.fill(second, 1);
      return () => ops.adamStep(parameter, gradient, { first, second }, plan);
    },
  },
  map("normalizeRows", [width, dModel], 2, (x) => ops.normalizeRows(x)),
  map("removeParallelRows", [width, dModel], 3, (x, y) => ops.removeParallelRows(x, y)),
];

const [filter = "", matmul = "auto"] = [
  process.argv
    .slice(2)
    .find((word) => !word.startsWith("--") && word !== "wasm" && word !== "blas"),
  process.argv.find((word) => word === "wasm" || word === "blas"),
];
const probe = await openCpuDevice({ matmul });
process.stdout.write(
  `${probe.info.matmul}, ${probe.info.threads} threads, kernels ${probe.info.build}\n`,
);
probe.dispose();
for (const { name, flops, bytes, prepare } of cases.filter((each) => each.name.includes(filter))) {
  using device = await openCpuDevice({ matmul });
  const run = prepare(device);
  let best = Number.POSITIVE_INFINITY;
  // Where other work shares the cores, processor time tells more about our own kernels than the clock does.
  let leastProcessor = Number.POSITIVE_INFINITY;
  const deadline = performance.now() + 1500;
  for (let count = 0; count < 3 || (performance.now() < deadline && count < 200); count++) {
    const before = process.cpuUsage();
    const start = performance.now();
    device.scope(() => {
      run();
    });
    best = Math.min(best, performance.now() - start);
    const { user, system } = process.cpuUsage(before);
    leastProcessor = Math.min(leastProcessor, (user + system) / 1000);
  }
  const rate =
    flops === undefined
      ? `${((bytes ?? 0) / best / 1e6).toFixed(1)} GB/s`
      : `${(flops / best / 1e6).toFixed(1)} GFLOP/s`;
  process.stdout.write(
    `${name.padEnd(64)} ${best.toFixed(3).padStart(10)} ms ${rate.padStart(16)} ${leastProcessor.toFixed(2).padStart(10)} ms cpu\n`,
  );
}
