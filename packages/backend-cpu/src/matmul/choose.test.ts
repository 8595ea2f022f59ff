import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { describeCpu, openCpuDevice } from "../open.ts";
import { reasonToSkipBlas } from "../test-support.ts";
import { forgetWarnings } from "../warning.ts";
import { chooseLibrary, type MatmulSurvey, surveyMatmul } from "./choose.ts";
import { openblasCoreType } from "./openblas-core.ts";
import type { BlasLibrary } from "./provider.ts";
import { type BlasAttempt, blasCandidates, findKoffi, loadBlas } from "./system-blas.ts";

type Sgemm = BlasLibrary["sgemm"];

/** A library of this process that works on the kernels' memory: addresses count from the memory's start. */
function library(
  name: string,
  product: (memory: Float32Array, ...call: Parameters<Sgemm>) => void,
) {
  let memory: Float32Array = new Float32Array();
  return {
    library: name,
    blas: {
      name,
      origin: null,
      address(buffer: ArrayBufferLike): number {
        memory = new Float32Array(buffer);
        return 0;
      },
      sgemm: (...call: Parameters<Sgemm>): void => product(memory, ...call),
    },
    detail: name,
  };
}

type Product = Parameters<typeof library>[1];

/** A plain product in f64; `always` reads the output even with beta = 0. */
const productReading =
  (always: boolean): Product =>
  (
    memory,
    transposeA,
    transposeB,
    m,
    n,
    k,
    alpha,
    a,
    strideA,
    b,
    strideB,
    beta,
    out,
    strideOut,
  ) => {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) {
          const x = memory[a / 4 + (transposeA ? i * strideA + row : row * strideA + i)] ?? 0;
          const y = transposeB ? column * strideB + i : i * strideB + column;
          sum += x * (memory[b / 4 + y] ?? 0);
        }
        const at = out / 4 + row * strideOut + column;
        memory[at] = alpha * sum + (beta === 0 && !always ? 0 : beta * (memory[at] ?? 0));
      }
    }
  };
const right = productReading(false);

const survey = (...attempts: BlasAttempt[]): ReturnType<typeof surveyMatmul> =>
  surveyMatmul(() => attempts);
const missing: BlasAttempt = {
  library: "libopenblas.so.0",
  blas: null,
  detail: "cannot open shared object file",
};

let warnings: unknown[][] = [];
beforeEach(() => {
  forgetWarnings();
  warnings = [];
  vi.spyOn(process, "emitWarning").mockImplementation((...args: unknown[]) => {
    warnings.push(args);
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  forgetWarnings();
});

describe("choosing who multiplies", () => {
  it("takes the first library that gives right numbers", async () => {
    const { library: taken, tried } = await survey(
      missing,
      library("good", right),
      library("never asked", right),
    );
    expect(taken?.name).toBe("good");
    expect(tried).toEqual([
      { ...missing, blas: undefined, usable: false, refused: false },
      { library: "good", usable: true, refused: false, detail: "good" },
    ]);
  });

  it.each<[string, Product, RegExp]>([
    [
      "confuses the transposes",
      (memory, transposeA, transposeB, ...rest) => right(memory, transposeA, !transposeB, ...rest),
      /gave .* for/,
    ],
    ["does nothing", () => {}, /gave NaN for/],
    ["reads the output with beta = 0", productReading(true), /gave NaN for/],
    ["writes behind the rows", writeBehind, /outside of the output/],
    ["throws", crash, /failed \(no such symbol\)/],
  ])("refuses a library that %s", async (_, product, reason) => {
    const found = await survey(library("bad", product));
    const { tried, fastest } = found;
    expect(found.library).toBeNull();
    expect(fastest).toBe("wasm");
    expect(tried[0]?.usable).toBe(false);
    expect(tried[0]?.detail).toMatch(reason);
  });

  it("leaves a library that is far slower than our own kernels, but gives it when asked for", async () => {
    const slow = await survey(library("slow", right));
    expect(slow.fastest).toBe("wasm");
    expect(slow.calibrations.map(({ name }) => name)).toEqual(["slow", "wasm"]);
    expect(await chooseLibrary("auto", undefined, () => Promise.resolve(slow))).toBeNull();
    expect((await chooseLibrary("blas", undefined, () => Promise.resolve(slow)))?.name).toBe(
      "slow",
    );
  });

  it("says what was tried when a BLAS is insisted on and there is none", async () => {
    const none = survey(missing);
    await expect(chooseLibrary("blas", undefined, () => none)).rejects.toMatchObject({
      code: "BLAS_UNAVAILABLE",
      message: expect.stringContaining("libopenblas.so.0: cannot open shared object file"),
    });
  });

  it.runIf(process.platform === "linux")("says why a library cannot be loaded", () => {
    const koffi = findKoffi();
    if ("missing" in koffi) return;
    expect(loadBlas(koffi.path, "libno-such-blas.so.9")).toMatchObject({
      blas: null,
      detail: expect.stringMatching(/cannot open/),
    });
    // A library without the function.
    expect(loadBlas(koffi.path, "libm.so.6")).toMatchObject({
      blas: null,
      detail: expect.stringMatching(/cblas_sgemm/),
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

describe("the warning of a fallback", () => {
  const choose = async (...attempts: BlasAttempt[]): Promise<BlasLibrary | null> => {
    const found = await survey(...attempts);
    return chooseLibrary("auto", undefined, () => Promise.resolve(found));
  };
  const wrong = library("broken", (memory, transposeA, transposeB, ...rest) =>
    right(memory, transposeA, !transposeB, ...rest),
  );

  it("comes once where there is no library", async () => {
    expect(await choose(missing)).toBeNull();
    expect(await choose(missing)).toBeNull();
    expect(warnings).toEqual([
      [
        expect.stringMatching(/no BLAS.*libopenblas\.so\.0: cannot open.*own kernels.*apt-get/),
        { type: "LatentkitWarning", code: "LATENTKIT_MATMUL_FALLBACK" },
      ],
    ]);
  });

  it("says that a library gave wrong numbers", async () => {
    expect(await choose(wrong)).toBeNull();
    expect(warnings).toEqual([
      [expect.stringMatching(/broken is refused: it gave .* own kernels/), expect.anything()],
    ]);
  });

  it("says that a library is slow, as one that misdetects the CPU", async () => {
    expect(await choose(library("slow", right))).toBeNull();
    expect(warnings).toEqual([
      [expect.stringMatching(/slow is far slower.*GFLOP\/s: slow: /), expect.anything()],
    ]);
  });

  it("does not come where the first library is taken, nor when our own kernels are asked for", async () => {
    const good = { ...(await survey(library("good", right))), fastest: "blas" } as const;
    const look = (): Promise<MatmulSurvey> => Promise.resolve(good);
    expect((await chooseLibrary("auto", undefined, look))?.name).toBe("good");
    expect(await chooseLibrary("wasm")).toBeNull();
    expect(warnings).toEqual([]);
    // A later library takes over from a refused one: the refusal is still told.
    const second = { ...good, tried: (await survey(wrong)).tried };
    await chooseLibrary("auto", undefined, () => Promise.resolve(second));
    expect(warnings).toEqual([
      [expect.stringMatching(/broken is refused.*go to good/), expect.anything()],
    ]);
  });
});

describe("the library that the user names", () => {
  afterEach(() => {
    delete process.env["LATENTKIT_BLAS"];
  });

  it("is the only one that is looked for", () => {
    const usual = blasCandidates();
    process.env["LATENTKIT_BLAS"] = "/opt/mine/libmkl_rt.so.3";
    expect(blasCandidates()).toEqual(["/opt/mine/libmkl_rt.so.3"]);
    process.env["LATENTKIT_BLAS"] = "";
    expect(blasCandidates()).toEqual(usual);
  });

  it("is named where it cannot be loaded", async () => {
    process.env["LATENTKIT_BLAS"] = "/nowhere/libmine.so";
    const found = await surveyMatmul();
    expect(found.tried.map((attempt) => attempt.library)).toEqual(
      "path" in findKoffi() ? ["/nowhere/libmine.so"] : ["system BLAS"],
    );
    const choosing = chooseLibrary("blas", undefined, () => Promise.resolve(found));
    await expect(choosing).rejects.toMatchObject({ code: "BLAS_UNAVAILABLE" });
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

function writeBehind(...args: Parameters<Product>): void {
  right(...args);
  const [memory, , , , n, , , , , , , , out, strideOut] = args;
  if (strideOut > n) memory[out / 4 + n] = 1;
}

function crash(): never {
  throw new TypeError("no such symbol");
}
