import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { chatExample, createAdapter, exampleBatches, trainAdapter, withAdapter } from "../index.ts";
import { chatTokenizer } from "../testing/chat-tokenizer.ts";

const device = new Device(createReferenceBackend());
const config = {
  layers: 1,
  dModel: 16,
  heads: 2,
  kvHeads: 1,
  dHead: 8,
  dMlp: 24,
  vocabulary: 20,
  contextSize: 16,
};
const model = randomModel({ device, seed: 1, config });
afterAll(() => model.dispose());
const batches = () => ({ tokens: [[1, 2, 3, 4]], targets: [[-100, 5, 6, 7]] });

describe("trainAdapter", () => {
  it("learns what it is shown and leaves the model alone", async () => {
    const before = await model.parameter("model.layers.0.self_attn.q_proj.weight").floats();
    const live = device.memory().liveBytes;
    {
      using adapter = createAdapter({ model, rank: 4, alpha: 8, seed: 2 });
      const history = await trainAdapter({
        model,
        adapter,
        batches,
        config: { steps: 40, learningRate: 0.02 },
      });
      expect(history.steps).toHaveLength(40);
      expect(history.steps[0]!.loss).toBeGreaterThan(3);
      expect(history.steps.at(-1)!.loss).toBeLessThan(0.5);
      using adapted = await withAdapter(model, adapter);
      using result = adapted.model.run([[1, 2, 3, 4]]);
      const logits = await result.logits!.floats();
      for (const [position, target] of [5, 6, 7].entries()) {
        const row = logits.subarray((position + 1) * 20, (position + 2) * 20);
        expect(row.indexOf(Math.max(...row))).toBe(target);
      }
    }
    expect(await model.parameter("model.layers.0.self_attn.q_proj.weight").floats()).toEqual(
      before,
    );
    expect(device.memory().liveBytes).toBe(live);
  });

  it("leaves A as it was in the first step, where B is zero, but for weight decay", async () => {
    const firstStep = async (weightDecay: number) => {
      using adapter = createAdapter({ model, rank: 2, alpha: 4, seed: 3 });
      const before = await adapter.values();
      await trainAdapter({
        model,
        adapter,
        batches,
        config: { steps: 1, learningRate: 0.01, weightDecay },
      });
      return { before, after: await adapter.values() };
    };
    const plain = await firstStep(0);
    const decayed = await firstStep(0.5);
    for (const [name, { a }] of plain.before) {
      expect(plain.after.get(name)!.a).toEqual(a);
      expect(plain.after.get(name)!.b.some((value) => value !== 0)).toBe(true);
      const factor = 1 - 0.01 * 0.5;
      const shrunk = decayed.after.get(name)!.a;
      for (const [index, value] of a.entries())
        expect(Math.abs(shrunk[index]! - factor * value)).toBeLessThan(1e-7);
    }
  });

  it("gives the same adapter each time, and the same by micro-batches as by one batch", async () => {
    const rows = [
      { tokens: [1, 2, 3, 4], targets: [-100, 5, 6, 7] },
      { tokens: [8, 9, 3, 2], targets: [-100, -100, -100, 11] },
    ];
    const whole = () => ({
      tokens: rows.map((row) => row.tokens),
      targets: rows.map((row) => row.targets),
    });
    const part = (index: number) => {
      const row = rows[index % 2]!;
      return { tokens: [row.tokens], targets: [row.targets] };
    };
    const trained = async (source: typeof whole | typeof part, microBatches: number) => {
      using adapter = createAdapter({ model, rank: 2, alpha: 4, seed: 3 });
      const history = await trainAdapter({
        model,
        adapter,
        batches: source,
        config: { steps: 6, microBatches },
      });
      return { values: await adapter.values(), history };
    };
    const first = await trained(whole, 1);
    expect(await trained(whole, 1)).toEqual(first);
    const split = await trained(part, 2);
    for (const [index, { loss, targets }] of split.history.steps.entries()) {
      expect(targets).toBe(4);
      expect(Math.abs(loss - first.history.steps[index]!.loss)).toBeLessThan(1e-5);
    }
  });

  it("stops when asked, between updates", async () => {
    using adapter = createAdapter({ model, rank: 2, alpha: 4, seed: 3 });
    const controller = new AbortController();
    const seen: number[] = [];
    const run = trainAdapter({
      model,
      adapter,
      batches,
      config: { steps: 10 },
      signal: controller.signal,
      onProgress: ({ done }) => {
        seen.push(done);
        if (done === 3) controller.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: "ABORTED" });
    expect(seen).toEqual([1, 2, 3]);
  });

  it("says when it diverges, and leaves the bad update out", async () => {
    using adapter = createAdapter({ model, rank: 2, alpha: 4, seed: 3 });
    const run = trainAdapter({ model, adapter, batches, config: { steps: 9, learningRate: 1e30 } });
    await expect(run).rejects.toMatchObject({ code: "ADAPTER_DIVERGED" });
  });

  it("rises over the warm-up and then falls in a straight line", async () => {
    using adapter = createAdapter({ model, rank: 1, alpha: 1, seed: 3 });
    const { steps } = await trainAdapter({
      model,
      adapter,
      batches,
      config: { steps: 6, warmUpSteps: 2, learningRate: 0.004 },
    });
    const rates = [0.002, 0.004, 0.004, 0.003, 0.002, 0.001];
    for (const [index, { learningRate }] of steps.entries())
      expect(Math.abs(learningRate - rates[index]!)).toBeLessThan(1e-12);
  });

  it.each([
    [{ steps: 0 }, "ADAPTER_TRAINING"],
    [{ steps: 4, warmUpSteps: 4 }, "ADAPTER_TRAINING"],
    [{ steps: 4, learningRate: -1 }, "ADAPTER_TRAINING"],
  ])("refuses %j", async (wrong, code) => {
    using adapter = createAdapter({ model, rank: 1, alpha: 1, seed: 3 });
    await expect(trainAdapter({ model, adapter, batches, config: wrong })).rejects.toMatchObject({
      code,
    });
  });

  it.each([
    ["no targets", { tokens: [[1, 2]], targets: [[-100, -100]] }],
    ["too few targets", { tokens: [[1, 2]], targets: [[3]] }],
  ])("refuses batches with %s", async (_name, batch) => {
    using adapter = createAdapter({ model, rank: 1, alpha: 1, seed: 3 });
    const run = trainAdapter({ model, adapter, batches: () => batch, config: { steps: 1 } });
    await expect(run).rejects.toMatchObject({ code: "BATCH_TARGETS" });
  });
});

describe("chatExample", () => {
  const tokenizer = chatTokenizer();
  const conversation = [
    { role: "user", content: "ab" },
    { role: "assistant", content: "cd" },
    { role: "user", content: "e" },
    { role: "assistant", content: "f" },
  ];

  it("has the assistant's words and ends of turns as targets, and nothing else", () => {
    const { tokens, targets } = chatExample(tokenizer, conversation);
    const shown = [...targets]
      .filter((target) => target >= 0)
      .map((target) => tokenizer.tokenText(target));
    expect(shown).toEqual(["c", "d", "<|im_end|>", "\n", "f", "<|im_end|>", "\n"]);
    for (const [at, target] of targets.entries()) {
      if (target < 0) continue;
      // The target of a position is the token after it; the last one's is beyond the tokens.
      if (at + 1 < tokens.length) expect(tokens[at + 1]).toBe(target);
    }
    expect(tokens).toHaveLength(targets.length);
  });

  it("cuts long conversations, and refuses what is left without a target", () => {
    const { tokens } = chatExample(tokenizer, conversation, { maxLength: 30 });
    expect(tokens).toHaveLength(30);
    expect(() => chatExample(tokenizer, conversation, { maxLength: 5 })).toThrow(
      expect.objectContaining({ code: "EXAMPLE_EMPTY" }),
    );
    expect(() => chatExample(tokenizer, conversation.slice(0, 1))).toThrow(
      expect.objectContaining({ code: "EXAMPLE_EMPTY" }),
    );
  });
});

describe("exampleBatches", () => {
  const examples = Array.from({ length: 5 }, (_, index) => ({
    tokens: new Int32Array(index + 1).fill(index),
    targets: new Int32Array(index + 1).fill(index + 10),
  }));

  it("shows each example once a pass, padded, and the same each time", () => {
    const source = exampleBatches(examples, { batchSize: 2, seed: 4, padding: 9 });
    const rows = Array.from({ length: 5 }, (_, index) => source(index)).flatMap(
      ({ tokens }) => tokens,
    );
    const firsts = rows.map((row) => row[0]!);
    expect(firsts.slice(0, 5).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect(firsts.slice(5).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect(source(3)).toEqual(exampleBatches(examples, { batchSize: 2, seed: 4, padding: 9 })(3));
    const padded = exampleBatches(examples, { batchSize: 5, seed: 0, padding: 9 })(0);
    const short = padded.tokens.findIndex((row) => row[0] === 1);
    expect(Array.from(padded.tokens[short]!)).toEqual([1, 1, 9, 9, 9]);
    expect(Array.from(padded.targets[short]!)).toEqual([11, 11, -100, -100, -100]);
  });

  it("refuses no examples", () => {
    expect(() => exampleBatches([], { batchSize: 2, seed: 0 })).toThrow(
      expect.objectContaining({ code: "EXAMPLES_NONE" }),
    );
  });
});
