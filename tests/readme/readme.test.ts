/**
 * Every ```ts block of the READMEs and the docs is type-checked and run from source, in a folder of its own that holds
 * `models` and `text` (links to LATENTKIT_MODELS and LATENTKIT_TEXT). A block fenced as ```ts check-only is not run.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publishedPackages, repository } from "../support/packages.ts";
import { run, userEnvironment } from "../support/run.ts";
import { blocksOf } from "./blocks.ts";

const packages = publishedPackages();
const data = { models: process.env["LATENTKIT_MODELS"], text: process.env["LATENTKIT_TEXT"] };

const blocks = ["README.md", ...packages.map(({ path }) => `${path}/README.md`), ...pagesOf("docs")]
  .filter((path) => existsSync(join(repository, path)))
  .flatMap((path) => blocksOf(path, readFileSync(join(repository, path), "utf8")));

// Inside the repository, so that the examples find the packages by name.
const scratch = mkdtempSync(join(repository, "tests/readme/.blocks-"));
const sources = new Map(
  blocks.map((block, index) => {
    const folder = join(scratch, String(index));
    mkdirSync(folder);
    for (const [name, target] of Object.entries(data)) {
      if (target !== undefined && target !== "")
        symlinkSync(target, join(folder, name), "junction");
    }
    writeFileSync(join(folder, "example.ts"), `${block.code}\nexport {};\n`);
    return [block, join(folder, "example.ts")] as const;
  }),
);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The Markdown pages of a folder, without what is generated or installed. */
function pagesOf(folder: string): string[] {
  return readdirSync(join(repository, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => relative(repository, join(entry.parentPath, entry.name)))
    .filter((path) => !/node_modules|reference.api|\.vitepress/.test(path));
}

it.each(packages)("$path has a README that starts with an example", ({ path }) => {
  const readme = join(repository, path, "README.md");
  expect(existsSync(readme), `${path}/README.md is missing`).toBe(true);
  const example = path.startsWith("apps/") ? /^```(?:sh|bash)$/m : /^```ts/m;
  expect(readFileSync(readme, "utf8")).toMatch(example);
});

describe.runIf(blocks.length > 0)("the examples", () => {
  let program: ts.Program;
  beforeAll(() => {
    const file = join(repository, "tsconfig.base.json");
    const { options } = ts.convertCompilerOptionsFromJson(
      ts.parseConfigFileTextToJson(file, readFileSync(file, "utf8")).config.compilerOptions,
      repository,
    );
    // An example may name a result without using it.
    const relaxed = { noUnusedLocals: false, isolatedDeclarations: false, declaration: false };
    program = ts.createProgram([...sources.values()], { ...options, ...relaxed });
  });

  it.each(blocks)("$name type-checks", (block) => {
    const source = program.getSourceFile(sources.get(block)!);
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    expect(
      found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n")),
    ).toEqual([]);
  });

  it.for(blocks.filter(({ runs }) => runs))(
    "$name runs with an empty stderr",
    async (block, { skip }) => {
      for (const [name, target] of Object.entries(data)) {
        const needed =
          block.code.includes(`"${name}/`) ||
          block.code.includes(`LATENTKIT_${name.toUpperCase()}`);
        if (needed && !target) skip(`LATENTKIT_${name.toUpperCase()} is not set`);
      }
      const file = sources.get(block)!;
      const { code, stdout, stderr } = await run(
        process.execPath,
        [
          "--conditions=@latentkit/source",
          `--import=${pathToFileURL(join(repository, "node_modules/tsx/dist/loader.mjs")).href}`,
          file,
        ],
        { cwd: join(file, ".."), env: userEnvironment() },
      );
      if (process.env["CI"] !== "true" && stderr.includes("WEBGPU_NO_ADAPTER"))
        skip("there is no WebGPU adapter");
      // What Dawn says of Mesa's software driver, whenever it is opened.
      const said = stderr.replaceAll(/^Warning: maxDynamic\w+ artificially reduced .*\n/gm, "");
      expect({ code, said }, stdout).toEqual({ code: 0, said: "" });
    },
  );
});
