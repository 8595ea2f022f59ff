// Finds error codes in sources, and their sections in docs/errors. `node tools/error-codes.mjs` prints the codes that lack
// one; with --write it adds them, from the words of the source, to the page of the package, and drops those of codes that are
// gone. Sections that exist are left as they are: say there what the message cannot.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const quoted = /"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"/g;

/**
 * The codes that a source file gives to errors: every UPPER_SNAKE string in the value of a `code:` property, and one that is
 * the first argument of a call with more arguments, `tableError("GGUF_OFFSETS", ...)`.
 *
 * @param {string} source
 * @returns {string[]}
 */
export function codesOf(source) {
  const properties = source.matchAll(/\bcode:\s*([^,;}\n]*(?:\n\s*[?:][^,;}\n]*)*)/g);
  const calls = source.matchAll(
    /\b(?!env|test|it|describe)\w+\(\s*("[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"),/g,
  );
  return [...properties, ...calls].flatMap((found) =>
    [...(found[1] ?? "").matchAll(quoted)].map((match) => match[1] ?? ""),
  );
}

/**
 * The sections `## CODE` of a page, with their text.
 *
 * @param {string} page
 * @returns {{ code: string, text: string }[]}
 */
export function sectionsOf(page) {
  return page
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const end = section.indexOf("\n");
      return { code: section.slice(0, end).trim(), text: section.slice(end).trim() };
    })
    .filter(({ code }) => /^[A-Z0-9]+(?:_[A-Z0-9]+)+$/.test(code));
}

/**
 * The source files whose errors users can meet, with their text.
 *
 * @param {string} root
 * @returns {{ path: string, text: string }[]}
 */
export function publishedSources(root) {
  return ["packages", "apps"]
    .flatMap((parent) =>
      readdirSync(join(root, parent)).map((name) => join(root, parent, name, "src")),
    )
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"),
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/[\\/](?:testing|__fixtures__|assembly)[\\/]/.test(path))
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
}

/**
 * What an error says, read from its source: the text of `message` and `fix`, with an ellipsis for each value.
 *
 * @param {string} text
 * @param {string} code
 * @returns {Promise<{ message: string, fix: string }>}
 */
async function wordsOf(text, code) {
  const { default: ts } = await import("typescript");
  const file = ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);
  const words = { message: "", fix: "" };
  /** What a name of the file stands for: a constant's value, a parameter's default. @type {Map<string, import("typescript").Node>} */
  const named = new Map();
  (function visit(/** @type {import("typescript").Node} */ node) {
    const declares = ts.isParameter(node) || ts.isVariableDeclaration(node);
    if (declares && node.initializer) named.set(node.name.getText(file), node.initializer);
    ts.forEachChild(node, visit);
  })(file);

  /** @param {import("typescript").Node | undefined} node @returns {string} */
  const plain = (node) => {
    if (node === undefined) return "";
    if (ts.isStringLiteralLike(node)) return node.text;
    if (ts.isTemplateExpression(node)) {
      return node.templateSpans.reduce(
        (head, span) => `${head}…${span.literal.text}`,
        node.head.text,
      );
    }
    if (ts.isBinaryExpression(node)) return plain(node.left) + plain(node.right);
    if (ts.isConditionalExpression(node))
      return [plain(node.whenTrue), plain(node.whenFalse)].join("; or: ");
    if (ts.isParenthesizedExpression(node)) return plain(node.expression);
    return ts.isIdentifier(node) ? plain(named.get(node.text)) : "…";
  };
  (function visit(/** @type {import("typescript").Node} */ node) {
    if (ts.isObjectLiteralExpression(node)) {
      const values = new Map(
        node.properties
          .filter((one) => ts.isPropertyAssignment(one) || ts.isShorthandPropertyAssignment(one))
          .map((one) => [
            one.name.getText(file),
            ts.isPropertyAssignment(one) ? one.initializer : one.name,
          ]),
      );
      if (values.get("code")?.getText(file).includes(`"${code}"`)) {
        words.message ||= plain(values.get("message"));
        words.fix ||= plain(values.get("fix"));
      }
    } else if (ts.isCallExpression(node) && node.arguments[0]?.getText(file) === `"${code}"`) {
      const [, message, , fix] = node.arguments;
      words.message ||= plain(message);
      words.fix ||= plain(fix ?? named.get("fix"));
    }
    ts.forEachChild(node, visit);
  })(file);
  return {
    message: words.message.replaceAll(/\s+/g, " ").replaceAll("<", "&lt;"),
    fix: words.fix.replaceAll(/\s+/g, " ").replaceAll("<", "&lt;"),
  };
}

/** @param {string} root */
async function main(root) {
  const folder = join(root, "docs", "errors");
  // From the ground up: a code that several packages throw is explained on the page of the lowest.
  const order = [
    "core",
    "tensor",
    "backend-cpu",
    "linalg",
    "loaders",
    "models",
    "activations",
    "sae",
    "report",
    "taxonomy",
    "cli",
  ];
  const rank = (/** @type {{ path: string }} */ { path }) =>
    order.indexOf(relative(root, path).split(sep)[1] ?? "");
  const sources = publishedSources(root).toSorted((a, b) => rank(a) - rank(b));
  /** @type {Map<string, { path: string, text: string }>} */
  const codes = new Map();
  for (const source of sources) {
    for (const code of codesOf(source.text)) if (!codes.has(code)) codes.set(code, source);
  }
  /** @type {Set<string>} */
  const explained = new Set();
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".md"))) {
    const page = readFileSync(join(folder, name), "utf8");
    const [head = "", ...sections] = page.split(/^(?=## )/m);
    const kept = sections.filter((section) =>
      sectionsOf(section).every(({ code }) => codes.has(code)),
    );
    for (const { code } of kept.flatMap((section) => sectionsOf(section))) explained.add(code);
    if (kept.length === sections.length) continue;
    console.log(`${name}: ${sections.length - kept.length} sections of codes that are gone`);
    if (process.argv.includes("--write")) writeFileSync(join(folder, name), head + kept.join(""));
  }
  for (const [code, { path, text }] of codes) {
    if (explained.has(code)) continue;
    console.log(`${code}  ${relative(root, path)}`);
    if (!process.argv.includes("--write")) continue;
    const owner = relative(root, path).split(sep)[1] ?? "";
    const page = join(folder, `${owner}.md`);
    const title = owner === "cli" ? "latentkit" : `@latentkit/${owner}`;
    if (!existsSync(page)) writeFileSync(page, `# Errors of ${title}\n\n… stands for a value.\n`);
    const { message, fix } = await wordsOf(text, code);
    const sentence = fix.replace(
      /^[a-z]+(?=[ ,:])/,
      (word) => word.slice(0, 1).toUpperCase() + word.slice(1),
    );
    const [head = "", ...sections] = readFileSync(page, "utf8").split(/^(?=## )/m);
    sections.push(`## ${code}\n\n> ${message}\n\n**Fix.** ${sentence}.\n`);
    const body = sections.map((section) => section.trim()).toSorted((a, b) => (a < b ? -1 : 1));
    writeFileSync(page, `${[head.trim(), ...body].join("\n\n")}\n`);
  }
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
if (process.argv[1] === fileURLToPath(import.meta.url)) await main(root);
