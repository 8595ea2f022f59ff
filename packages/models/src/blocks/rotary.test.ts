// Rotary scalings whose frequencies depend on the sequence's length, against transformers; see oracles/models/rope_lengths.py.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  checkpointOf,
  deviation,
  openFixture,
  openTiny,
  read,
  referenceDevice,
} from "../__fixtures__/support.ts";
import type { LanguageModel } from "../language-model.ts";
import { loadModel } from "../load-model.ts";
import { modelConfigJson } from "../config-json.ts";
import { parseConfig } from "../parse-config.ts";

const device = referenceDevice();
const names = [
  "llama-dynamic",
  "llama-longrope",
  "mistral-longrope-factors",
  "gpt-neox-dynamic",
] as const;
const schema = z.record(
  z.string(),
  z.object({ folder: z.string(), fields: z.record(z.string(), z.unknown()) }),
);
const cases = schema.parse(
  JSON.parse(await readFile(new URL("../__fixtures__/rope-lengths.json", import.meta.url), "utf8")),
);
const golden = await openFixture("rope-lengths.golden.safetensors");
const tokens = [...(await golden.readIntegers("tokens"))];
afterAll(() => expect(device.memory().liveBytes).toBe(0));

describe.each(names)("%s", (name) => {
  let model: LanguageModel;
  beforeAll(async () => {
    const { folder = "", fields = {} } = cases[name] ?? {};
    const { config, tensors } = await openTiny(`families/${folder}`);
    const changed = { ...Object(config), ...fields };
    // transformers 4's fields, where there are any, would say otherwise.
    for (const field of ["rope_theta", "rope_scaling", "rotary_emb_base", "rotary_pct"])
      delete changed[field];
    model = await loadModel(checkpointOf(changed, tensors), { device });
  });
  afterAll(() => model.dispose());

  it.each([6, 8, 9, 20, 6])("has transformers' logits of %i tokens", async (length) => {
    const { logits } = await read(model, [tokens.slice(0, length)]);
    const expected = await golden.readFloats(`${name}.logits.${length}`);
    expect(deviation(logits, expected)).toBeLessThan(1e-4);
  });

  it("generates what transformers does, over the original length", async () => {
    const made: number[] = [];
    const options = { tokens: tokens.slice(0, 5), maxTokens: 12, ignoreEos: true };
    for await (const { token } of model.generate(options)) made.push(token);
    expect(made).toEqual([...(await golden.readIntegers(`${name}.greedy`))]);
  });

  it.each(["left", "right"] as const)(
    "gives rows of a batch padded on the %s what they have alone",
    async (padding) => {
      const rows = [20, 6, 9, 20].map((length) => tokens.slice(20 - length));
      const together = await read(model, rows, { padding });
      const { vocabulary } = model.config;
      for (const [row, ids] of rows.entries()) {
        const alone = await read(model, [ids]);
        const start = (row * 20 + (padding === "left" ? 20 - ids.length : 0)) * vocabulary;
        const part = together.logits.subarray(start, start + ids.length * vocabulary);
        expect(deviation(part, alone.logits), `row ${row}`).toBeLessThan(1e-5);
      }
    },
  );

  it("reads the configuration that it writes", () => {
    expect(parseConfig(JSON.parse(JSON.stringify(modelConfigJson(model.config))))).toEqual(
      model.config,
    );
  });

  it("leaves nothing behind but tables that it needs again", async () => {
    await read(model, [tokens]);
    const resting = device.memory().liveBytes;
    await read(model, [tokens, tokens.slice(0, 9)], { padding: "right" });
    await read(model, [tokens.slice(0, 10)]);
    expect(device.memory().liveBytes).toBe(resting);
  });
});
