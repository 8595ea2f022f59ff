import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { referenceKind, type ReferenceValues } from "../testing/reference-kinds.ts";
import { smallRun } from "../testing/small-run.ts";
import { memoryCheckpoints, type TrainingState } from "./checkpoint.ts";
import { parseTrainConfig } from "./config.ts";
import { trainingArchitectures } from "./registry.ts";
import { trainSae } from "./train-sae.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

/** A trained SAE, and the parameters that it was exported from. */
async function trained(kind: Parameters<typeof smallRun>[0]) {
  const checkpoints = memoryCheckpoints();
  const options = smallRun(kind, device, 40);
  const { sae } = await trainSae({ ...options, checkpoints });
  const saved = await checkpoints.load();
  const tensors: ReadonlyMap<string, Float64Array> = new Map(
    saved?.tensors.map(({ name, data }) => [name, Float64Array.from(data)]),
  );
  const get = (name: string): Float64Array => tensors.get(name) ?? new Float64Array(0);
  const values: ReferenceValues = {
    encoderRows: get("encoder_rows"),
    decoder: get("decoder"),
    encoderBias: get("encoder_bias"),
    decoderBias: get("decoder_bias"),
    ...(tensors.has("log_threshold") ? { threshold: get("log_threshold").map(Math.exp) } : {}),
    gate_bias: get("gate_bias"),
    magnitude_scale: get("magnitude_scale"),
  };
  // The store keeps what the run gave it.
  const state = saved?.state as TrainingState;
  return { sae, options, values, get, state, config: parseTrainConfig(options.config) };
}

describe("what is exported computes what was trained", () => {
  it.each(["standard", "p_anneal", "gated", "jumprelu_tanh"] as const)("%s", async (kind) => {
    const { sae, options, values, state, config } = await trained(kind);
    const { scale } = state.statistics;
    const dIn = 6;
    const { residual } = referenceKind(values, {
      config,
      x: Float64Array.from(options.heldOut, (value) => value / scale),
      dIn,
      variance: 1,
      sparsity: 0,
    });
    using result = device.scope(() =>
      sae.reconstruct(device.tensor(options.heldOut, [options.heldOut.length / dIn, dIn])),
    );
    const expected = residual.map((value, at) => (options.heldOut[at] ?? 0) - scale * value);
    expect(await result.floats()).toBeClose(expected, { rtol: 1e-5, atol: 1e-5 });
    const weights = await sae.weights();
    const norms = Array.from({ length: 20 }, (_, latent) =>
      Math.hypot(...weights.decoder.subarray(latent * dIn, (latent + 1) * dIn)),
    );
    expect(norms).toBeClose(new Float64Array(20).fill(1), { rtol: 1e-5, atol: 0 });
    expect(sae.config).toMatchObject({
      architecture: "jumprelu",
      metadata: { convertedFrom: kind },
    });
    sae.dispose();
  });

  it.each(["batchtopk", "matryoshka_batchtopk"] as const)(
    "%s has the running threshold",
    async (kind) => {
      const { sae, state } = await trained(kind);
      const threshold = (state.memory?.["threshold"]?.[0] ?? 0) * state.statistics.scale;
      expect(threshold).toBeGreaterThan(0);
      expect((await sae.weights()).threshold).toBeClose(new Float64Array(20).fill(threshold), {
        rtol: 1e-6,
        atol: 0,
      });
      sae.dispose();
    },
  );
});

describe("an architecture of one's own", () => {
  it("is trained, remembered and exported as it says", async () => {
    const { sae, get, state } = await trained("custom");
    expect(state.memory).toEqual({ steps: [40] });
    const scales = get("scale");
    expect(scales).toHaveLength(20);
    expect(scales.some((value) => Math.abs(value - 0.5) > 0.01)).toBe(true);
    const [rows, { encoderRows }] = [get("encoder_rows"), await sae.weights()];
    expect(encoderRows).toBeClose(
      rows.map((value, at) => value * Math.exp(scales[Math.floor(at / 6)] ?? 0)),
      { rtol: 1e-6, atol: 1e-9 },
    );
    expect(sae.config.metadata).toEqual({ convertedFrom: "scaled-relu" });
    sae.dispose();
  });

  it("has to be given, under the name of the configuration", async () => {
    await expect(
      trainSae({ ...smallRun("custom", device, 2), architectures: [] }),
    ).rejects.toMatchObject({
      code: "TRAIN_ARCHITECTURE_UNKNOWN",
      message: expect.stringMatching(/"scaled-relu".*none/u) as string,
    });
  });
});

it("lists the architectures", () => {
  expect(trainingArchitectures.map(({ name }) => name)).toEqual([
    "abstopk",
    "batchtopk",
    "batchtopk_crosscoder",
    "crosscoder",
    "gated",
    "jumprelu",
    "jumprelu_tanh",
    "matching_pursuit",
    "matryoshka_batchtopk",
    "p_anneal",
    "standard",
    "topk",
  ]);
});
