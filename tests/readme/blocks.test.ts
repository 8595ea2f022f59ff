import { expect, it } from "vitest";
import { blocksOf } from "./blocks.ts";

it("finds every TypeScript block with its line, and which of them run", () => {
  const text = "# A\n```ts\none();\n```\n```sh\nls\n```\n```ts check-only\ntwo();\n```\n";
  expect(blocksOf("a.md", text)).toEqual([
    { name: "a.md:2", code: "one();", runs: true },
    { name: "a.md:8", code: "two();", runs: false },
  ]);
  expect(() => blocksOf("a.md", "```ts\nx")).toThrow("never ends");
});
