import { type ActivationBatches, arrayBatches } from "@latentkit/activations";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { smallRun, type SmallRunKind, smallRunKinds } from "../testing/small-run.ts";
import { type CheckpointStore, memoryCheckpoints } from "./checkpoint.ts";
import { trainSae } from "./train-sae.ts";
import { type SaeOutcome, type SaeTraining, trainSaes } from "./train-saes.ts";

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

const { architectures, heldOut, batches: example } = smallRun("topk", device, 1);
const { dIn } = example;

/** A stream as {@link smallRun} has it, which counts the batches drawn. */
function countedStream(): ActivationBatches & { drawn: number } {
  const { batches } = smallRun("topk", device, 1);
  return {
    dIn: batches.dIn,
    uniqueTokens: batches.uniqueTokens,
    drawn: 0,
    next(size, options) {
      this.drawn += 1;
      return batches.next(size, options);
    },
    state: () => batches.state(),
    restore: (state) => batches.restore(state),
  };
}

function training(
  kind: SmallRunKind,
  steps: number,
  batches: ActivationBatches,
  changes: Partial<SaeTraining> & { readonly learningRate?: number } = {},
): SaeTraining {
  const { learningRate, ...rest } = changes;
  const { config } = smallRun(kind, device, steps);
  const own = learningRate === undefined ? config : { ...config, learningRate };
  return { name: kind, config: own, batches, heldOut, ...rest };
}

/** All that must be equal bit for bit. */
async function fingerprint(outcome: SaeOutcome | undefined): Promise<unknown> {
  if (outcome?.status !== "trained") return outcome;
  using sae = outcome.sae;
  return { identity: await sae.identity(), history: outcome.history };
}

async function alone(kind: SmallRunKind, steps: number): Promise<unknown> {
  const { sae, history } = await trainSae(smallRun(kind, device, steps));
  return fingerprint({ status: "trained", name: kind, sae, history });
}

describe("several SAEs on one stream", () => {
  it("come out, each of them, with the bytes that they have alone", async () => {
    const stream = countedStream();
    // Of different lengths, so that some drop out before others.
    const lengths = new Map(smallRunKinds.map((kind, index) => [kind, 6 + (index % 3)]));
    const saes = smallRunKinds.map((kind) => training(kind, lengths.get(kind) ?? 0, stream));
    const outcomes = await trainSaes({ device, saes, architectures });
    expect(outcomes.map(({ name }) => name)).toEqual(smallRunKinds);
    for (const outcome of outcomes) {
      const kind = smallRunKinds.find((name) => name === outcome.name) ?? "topk";
      expect(await fingerprint(outcome)).toEqual(await alone(kind, lengths.get(kind) ?? 0));
    }
    // Seven batches for the statistics of SAEs, transcoders and crosscoders each, one for b_dec, and each of the eight steps once.
    expect(stream.drawn).toBe(3 * 7 + 1 + 8);
  });

  it("go on together from checkpoints of different steps", async () => {
    const stores = { topk: memoryCheckpoints(), gated: memoryCheckpoints() };
    const all = (steps: number, stream: ActivationBatches) => [
      training("topk", steps, stream, { checkpoints: stores.topk }),
      training("gated", steps, stream, { checkpoints: stores.gated }),
    ];
    const controller = new AbortController();
    const stopped = trainSaes({
      device,
      saes: all(14, countedStream()),
      signal: controller.signal,
      onStep: ({ name, done }) =>
        name === "gated" && done === 6 * 32 ? controller.abort() : undefined,
    });
    await expect(stopped).rejects.toThrow(/checkpoint of step 6 is in memory, the checkpoint of/u);
    // As a kill between two checkpoints leaves them: one stands further on than the other.
    const { sae } = await trainSae({
      ...training("topk", 14, countedStream()),
      device,
      checkpoints: stores.topk,
    });
    sae.dispose();
    const late = await stores.topk.load();
    const ahead: CheckpointStore = { ...stores.topk, load: () => Promise.resolve(late) };
    const stream = countedStream();
    const outcomes = await trainSaes({
      device,
      saes: [
        training("topk", 14, stream, { checkpoints: ahead }),
        training("gated", 14, stream, { checkpoints: stores.gated }),
        training("jumprelu-raw", 14, stream),
      ],
    });
    for (const [index, kind] of (["topk", "gated", "jumprelu-raw"] as const).entries())
      expect(await fingerprint(outcomes[index])).toEqual(await alone(kind, 14));
  });

  it("are told apart from SAEs on other streams, of other widths too", async () => {
    const wide = Float32Array.from({ length: 300 * 9 }, (_, index) => Math.sin(index * 1.7));
    const other = arrayBatches(wide, 9, 1);
    const outcomes = await trainSaes({
      device,
      saes: [
        training("topk", 5, countedStream()),
        training("topk", 5, other, { name: "wide", heldOut: wide.slice(0, 90) }),
      ],
    });
    expect(outcomes.map((one) => (one.status === "trained" ? one.sae.config.dIn : 0))).toEqual([
      6, 9,
    ]);
    expect(await fingerprint(outcomes[0])).toEqual(await alone("topk", 5));
    await fingerprint(outcomes[1]);
  });

  it("report each step of each, and the whole", async () => {
    const stream = countedStream();
    const steps: string[] = [];
    const whole: number[] = [];
    const outcomes = await trainSaes({
      device,
      saes: [training("topk", 3, stream), training("standard", 2, stream)],
      onStep: ({ name, done, total }) => steps.push(`${name} ${done}/${total}`),
      onProgress: ({ done, total }) => whole.push(done / (total ?? 0)),
    });
    for (const outcome of outcomes) await fingerprint(outcome);
    expect(steps).toEqual([
      "topk 32/96",
      "standard 32/64",
      "topk 64/96",
      "standard 64/64",
      "topk 96/96",
    ]);
    expect(whole).toEqual([0.4, 0.8, 1]);
  });
});

describe("an SAE that diverges", () => {
  it("is given up, and the others come out as they do alone", async () => {
    const stream = countedStream();
    const [bad, good] = await trainSaes({
      device,
      saes: [
        training("topk", 8, stream, { name: "bad", learningRate: 1e38 }),
        training("gated", 8, stream),
      ],
    });
    expect(bad).toMatchObject({
      status: "stopped",
      error: { code: "TRAIN_DIVERGED", message: expect.stringContaining("the loss of step") },
      history: { schemaVersion: 1 },
    });
    expect(await fingerprint(good)).toEqual(await alone("gated", 8));
  });

  it("is noticed when its error explodes without ever becoming infinite", async () => {
    const [outcome] = await trainSaes({
      device,
      saes: [training("topk", 200, countedStream(), { learningRate: 300 })],
    });
    expect(outcome).toMatchObject({ status: "stopped", error: { code: "TRAIN_DIVERGED" } });
    expect(outcome?.status === "stopped" ? outcome.error.message : "").toMatch(
      /the FVU of step \d+ is .* after one of/u,
    );
    expect(outcome?.history.presentations).toBeLessThan(40 * 32);
  });

  it("does not hide activations that are not numbers, which stop the stream's SAEs alone", async () => {
    const source = countedStream();
    let drawn = 0;
    const poisoned: ActivationBatches = {
      ...source,
      dIn,
      uniqueTokens: source.uniqueTokens,
      async next(size) {
        const rows = await source.next(size);
        if (++drawn > 10) rows[dIn * 4 + 1] = Number.NaN;
        return rows;
      },
    };
    const outcomes = await trainSaes({
      device,
      saes: [
        training("topk", 6, poisoned),
        training("jumprelu-raw", 6, poisoned),
        training("gated", 6, countedStream()),
      ],
    });
    const message = "row 4 of the batch of step 3 holds NaN";
    const stopped = { status: "stopped", error: { code: "ACTIVATIONS_NOT_FINITE", message } };
    expect(outcomes[0]).toMatchObject(stopped);
    expect(outcomes[1]).toMatchObject(stopped);
    expect(await fingerprint(outcomes[2])).toEqual(await alone("gated", 6));
  });
});

describe("what cannot be trained together", () => {
  const stream = countedStream();
  const run = (saes: readonly SaeTraining[]) => trainSaes({ device, saes });

  it("is named before anything is done", async () => {
    await expect(run([])).rejects.toMatchObject({ code: "TRAIN_NAMES" });
    await expect(
      run([training("topk", 2, stream), training("topk", 3, stream)]),
    ).rejects.toMatchObject({ code: "TRAIN_NAMES", message: 'two SAEs have the name "topk"' });
    const { config } = smallRun("topk", device, 2);
    await expect(
      run([
        training("gated", 2, stream),
        training("topk", 2, stream, { config: { ...config, batchSize: 16 } }),
      ]),
    ).rejects.toMatchObject({ code: "TRAIN_BATCH_SIZES" });
    await expect(
      run([training("topk", 2, stream, { heldOut: new Float32Array(7) })]),
    ).rejects.toMatchObject({ code: "SHAPE_ROWS" });
    expect(stream.drawn).toBe(0);
  });

  it("includes a stream that gives rows of another width than it says", async () => {
    const lying: ActivationBatches = {
      ...stream,
      dIn: 3,
      uniqueTokens: 10,
      next: (size) => stream.next(size),
    };
    await expect(
      run([training("topk", 2, lying, { heldOut: new Float32Array(6) })]),
    ).rejects.toMatchObject({ code: "SHAPE_BATCH" });
  });
});
