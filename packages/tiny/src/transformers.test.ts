// The packaged base beside Hugging Face transformers. Made by oracles/tiny/check_transformers.py from the same folder.
import { openCpuDevice } from "@latentkit/backend-cpu";
import { renderChat } from "@latentkit/loaders";
import { registerMatchers } from "@latentkit/tensor/testing";
import { expect, it } from "vitest";
import golden from "./__fixtures__/transformers.json" with { type: "json" };
import { loadTiny } from "./node/index.ts";

registerMatchers(expect);

it.each(golden.cases)("gives transformers' ids, logits and greedy tokens for %j", async (known) => {
  using device = await openCpuDevice();
  using model = await loadTiny({ device });
  const ids = Array.from(model.tokenizer!.encode(known.text).ids);
  expect(ids).toEqual(known.ids);
  using run = model.run([ids]);
  const logits = await run.logits!.floats();
  const { vocabulary } = model.config;
  const at = (position: number): Float32Array =>
    logits.subarray(position * vocabulary, (position + 1) * vocabulary);
  const seen = ids.flatMap((_, position) => golden.fixed.map((token) => at(position)[token]!));
  // A ten-thousandth of the logits' own spread, as for every model family.
  const atol = 1e-4 * known.std;
  expect(Float32Array.from(seen)).toBeClose(Float32Array.from(known.logits.flat()), {
    rtol: 0,
    atol,
  });
  const partitions = ids.map((_, position) => {
    const row = at(position);
    const most = Math.max(...row);
    return most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0));
  });
  expect(Float64Array.from(partitions)).toBeClose(Float64Array.from(known.logPartition), {
    rtol: 0,
    atol,
  });
  const best = ids.map((_, position) => at(position).indexOf(Math.max(...at(position))));
  expect(best).toEqual(known.best);
  const greedy: number[] = [];
  for await (const { token } of model.generate({ tokens: ids, maxTokens: 20, ignoreEos: true }))
    greedy.push(token);
  expect(greedy).toEqual(known.greedy);
});

it("renders chats as transformers does", async () => {
  using device = await openCpuDevice();
  using model = await loadTiny({ device });
  expect(renderChat(model.tokenizer!, golden.chat.messages).text).toBe(golden.chat.text);
});
