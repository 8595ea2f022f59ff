import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import { attention, type AttentionOptions } from "../../operators/attention.ts";
import { attentionMix, attentionPattern } from "../../operators/attention-pattern.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/attention.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/attention.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

interface AttentionGolden {
  readonly q: Packed;
  readonly k: Packed;
  readonly v: Packed;
  readonly keyMask?: Packed;
  readonly dOut: Packed;
  readonly out: Packed;
  readonly dq: Packed;
  readonly dk: Packed;
  readonly dv: Packed;
  readonly scale: number;
  readonly causal: boolean;
  readonly window: number | null;
  readonly softCap: number | null;
}

const cases: readonly (readonly [string, AttentionGolden])[] = Object.entries(goldens);

/** PyTorch's attention, forward and gradient. */
export function attentionGoldenSuite(suite: Suite): void {
  it.each(cases)("attention and its gradient equal PyTorch's: %s", async (_name, golden) => {
    await check(suite, golden, attention);
  });

  it.each(cases)("attention by its pattern equals PyTorch's: %s", async (_name, golden) => {
    await check(suite, golden, (q, k, v, options) =>
      attentionMix(attentionPattern(q, k, options), v),
    );
  });
}

async function check(
  suite: Suite,
  golden: AttentionGolden,
  attend: (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions) => Tensor,
): Promise<void> {
  const run = (device: Device): Record<string, Tensor> => {
    const wrt = [golden.q, golden.k, golden.v].map((packed) => unpack(device, packed));
    const [q, k, v] = wrt;
    if (!q || !k || !v) throw new TypeError("three inputs were unpacked");
    const { scale, causal, window, softCap } = golden;
    const keyMask = golden.keyMask === undefined ? null : unpack(device, golden.keyMask);
    using tape = new Tape(device);
    for (const tensor of wrt) tape.watch(tensor);
    const out = tape.run(() => attend(q, k, v, { scale, causal, window, softCap, keyMask }));
    const [dq, dk, dv] = tape.gradients(out, wrt, unpack(device, golden.dOut));
    if (!dq || !dk || !dv) throw new TypeError("three gradients were asked for");
    return { out, dq, dk, dv };
  };
  const actual = await readAll(suite.device, 0, ({ device }) => run(device));
  for (const name of ["out", "dq", "dk", "dv"] as const) {
    expect(actual.get(name)?.shape, `shape of ${name}`).toEqual(golden[name].shape);
    // Gradients are sums of up to 40 products of factors up to 10.
    expect(actual.get(name)?.values ?? [], name).toBeClose(floatsOf(golden[name]), {
      rtol: 1e-5,
      atol: 4e-6,
    });
  }
}
