import OpenAI from "openai";
import { expect, it } from "vitest";
import { run } from "../testing/run.ts";

it("serves a model to OpenAI's client until it is stopped, and exits with 0", async () => {
  const controller = new AbortController();
  const asked: Promise<unknown>[] = [];
  const { code, stdout } = await run(
    ["serve", "random", "--port", "0", "--json", "--quiet", "--token", "secret"],
    {
      signal: controller.signal,
      onStdout: (all) => {
        if (asked.length > 0 || !all.includes("\n")) return;
        const { url } = JSON.parse(all) as { readonly url: string };
        const client = new OpenAI({ baseURL: url, apiKey: "secret", maxRetries: 0 });
        const answer = client.completions
          .create({ model: "random", prompt: "ab", max_tokens: 4, temperature: 0 })
          .finally(() => controller.abort());
        asked.push(answer);
      },
    },
  );
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ model: "random" });
  expect(await asked[0]).toMatchObject({ model: "random", usage: { prompt_tokens: 2 } });
});

it("refuses other machines without a token", async () => {
  const { code, stderr } = await run(["serve", "random", "--host", "0.0.0.0", "--quiet"]);
  expect(code).toBe(1);
  expect(stderr).toContain("SERVE_OPEN");
});
