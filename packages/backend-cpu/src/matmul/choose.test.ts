import { describe, expect, it } from "vitest";
import { describeCpu, openCpuDevice } from "../open.ts";
import { reasonToSkipBlas } from "../test-support.ts";
import { chooseLibrary, surveyMatmul } from "./choose.ts";
import { openblasCoreType } from "./openblas-core.ts";
import type { BlasLibrary } from "./provider.ts";
import type { BlasAttempt } from "./system-blas.ts";

type Sgemm = BlasLibrary["sgemm"];

/** A plain product in f64 over the whole memory behind the views; `always` reads the output even with beta = 0. */
const productReading =
  (always: boolean): Sgemm =>
  (transposeA, transposeB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut) => {
    const left = new Float32Array(a.buffer, a.byteOffset);
    const right = new Float32Array(b.buffer, b.byteOffset);
    const target = new Float32Array(out.buffer, out.byteOffset);
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) {
          const x = left[transposeA ? i * strideA + row : row * strideA + i] ?? 0;
          sum += x * (right[transposeB ? column * strideB + i : i * strideB + column] ?? 0);
        }
        const at = row * strideOut + column;
        target[at] = alpha * sum + (beta === 0 && !always ? 0 : beta * (target[at] ?? 0));
      }
    }
  };
const right = productReading(false);

const attempt = (name: string, sgemm: Sgemm): BlasAttempt => ({
  library: name,
  blas: { name, threads: 1, sgemm },
  detail: name,
});
const survey = (...attempts: BlasAttempt[]): ReturnType<typeof surveyMatmul> =>
  surveyMatmul(() => Promise.resolve(attempts));

describe("choosing who multiplies", () => {
  it("takes the first library that gives right numbers", async () => {
    const missing: BlasAttempt = { library: "missing", blas: null, detail: "no such file" };
    const { library, tried } = await survey(
      missing,
      attempt("good", right),
      attempt("never asked", right),
    );
    expect(library?.name).toBe("good");
    expect(tried).toEqual([
      { library: "missing", usable: false, detail: "no such file" },
      { library: "good", usable: true, detail: "good" },
    ]);
  });

  it.each<[string, Sgemm, RegExp]>([
    [
      "confuses the transposes",
      (transposeA, transposeB, ...rest) => right(transposeA, !transposeB, ...rest),
      /gave .* for/,
    ],
    ["does nothing", () => {}, /gave NaN for/],
    ["reads the output with beta = 0", productReading(true), /gave NaN for/],
    ["writes behind the rows", (...args) => writeBehind(args), /outside of the output/],
    ["throws", () => crash(), /failed \(no such symbol\)/],
  ])("refuses a library that %s", async (_, sgemm, reason) => {
    const { library, tried, fastest } = await survey(attempt("bad", sgemm));
    expect(library).toBeNull();
    expect(fastest).toBe("wasm");
    expect(tried[0]?.usable).toBe(false);
    expect(tried[0]?.detail).toMatch(reason);
  });

  it("leaves a library that is far slower than our own kernels, but gives it when asked for", async () => {
    const slow = await survey(attempt("slow", right));
    expect(slow.fastest).toBe("wasm");
    expect(slow.calibrations.map(({ name }) => name)).toEqual(["slow", "wasm"]);
    expect(await chooseLibrary("auto", undefined, () => Promise.resolve(slow))).toBeNull();
    expect((await chooseLibrary("blas", undefined, () => Promise.resolve(slow)))?.name).toBe(
      "slow",
    );
  });

  it("says what was tried when a BLAS is insisted on and there is none", async () => {
    const none = survey({
      library: "libopenblas.so.0",
      blas: null,
      detail: "cannot open shared object file",
    });
    await expect(chooseLibrary("blas", undefined, () => none)).rejects.toMatchObject({
      code: "BLAS_UNAVAILABLE",
      message: expect.stringContaining("libopenblas.so.0: cannot open shared object file"),
    });
  });

  it("stops when asked to", async () => {
    await expect(openCpuDevice({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "ABORTED",
    });
  });

  it("describes this machine", async () => {
    const description = await describeCpu();
    expect(description.build).toMatch(/^[0-9a-f]{12}$/);
    expect(description.calibrations.length).toBeGreaterThan(0);
    for (const { gflops } of description.calibrations) expect(gflops).toBeGreaterThan(0.1);
    using device = await openCpuDevice();
    expect(device.info.matmul).toBe(description.matmul);
  });
});

describe("the core that OpenBLAS is told", () => {
  const avx512 = new Set([
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512cd",
  ]);
  const linux =
    process.platform === "linux" &&
    process.arch === "x64" &&
    process.env["OPENBLAS_CORETYPE"] === undefined;

  it.runIf(linux)("follows the CPU's features for versions that do not know new models", () => {
    expect(openblasCoreType("libopenblas.so.0", avx512, [0, 3, 21])).toBe("SkylakeX");
    expect(openblasCoreType("libopenblas.so.0", avx512, null)).toBe("SkylakeX");
    expect(openblasCoreType("libopenblas.so.0", new Set(["avx2", "fma"]), [0, 3, 20])).toBe(
      "Haswell",
    );
    expect(openblasCoreType("libopenblas.so.0", new Set(["sse2"]), [0, 3, 20])).toBeNull();
  });

  it("is left alone for newer versions and other libraries", () => {
    expect(openblasCoreType("libopenblas.so.0", avx512, [0, 3, 22])).toBeNull();
    expect(openblasCoreType("libopenblas.so.0", avx512, [1, 0, 0])).toBeNull();
    expect(openblasCoreType("libmkl_rt.so.2", avx512, null)).toBeNull();
  });

  it.runIf(linux)("never overrides the user's, and does not stay in the environment", async () => {
    expect(process.env["OPENBLAS_CORETYPE"]).toBeUndefined();
    process.env["OPENBLAS_CORETYPE"] = "Zen";
    try {
      expect(openblasCoreType("libopenblas.so.0", avx512, [0, 3, 21])).toBeNull();
    } finally {
      delete process.env["OPENBLAS_CORETYPE"];
    }
  });

  it("makes OpenBLAS use the vectors of this CPU", async () => {
    const skip = await reasonToSkipBlas();
    const { matmul } = await describeCpu();
    if (skip === null && linux && matmul.startsWith("openblas"))
      expect(matmul).not.toMatch(/Prescott|Generic|Core2/);
  });
});

function writeBehind(args: Parameters<Sgemm>): void {
  right(...args);
  const [, , , n, , , , , , , , out, strideOut] = args;
  if (strideOut > n) new Float32Array(out.buffer, out.byteOffset)[n] = 1;
}

function crash(): never {
  throw new TypeError("no such symbol");
}
