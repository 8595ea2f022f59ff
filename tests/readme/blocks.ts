/** One ```ts block of a Markdown file. */
export interface Block {
  /** The file's path from the root and the line of the fence, for example `packages/core/README.md:12`. */
  readonly name: string;
  readonly code: string;
  /** False for blocks fenced as ```ts check-only: they are type-checked, but not run. */
  readonly runs: boolean;
}

/** The TypeScript examples of a Markdown text, in order. */
export function blocksOf(path: string, markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  for (let start = 0; start < lines.length; start++) {
    const fence = /^```ts(?<flags>(?: [\w-]+)*)\s*$/.exec(lines[start]!);
    if (!fence) continue;
    const end = lines.indexOf("```", start);
    if (end < 0) throw new Error(`${path}:${start + 1}: the block never ends`);
    const runs = !(fence.groups?.["flags"] ?? "").includes("check-only");
    blocks.push({
      name: `${path}:${start + 1}`,
      code: lines.slice(start + 1, end).join("\n"),
      runs,
    });
    start = end;
  }
  return blocks;
}
