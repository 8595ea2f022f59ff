// `node tools/prose.mjs [FILE]`: writes public-domain prose for the world `prose` to .cache/prose.jsonl, a chapter a line
// ({ id, source, licence, text }, paragraphs parted by an empty line). The texts come from Debian's archive: Jane Austen's six
// novels from r-cran-janeaustenr, and the King James Bible from bible-kjv-text, which the program of bible-kjv prints; packages are
// downloaded and unpacked into a temporary folder, not installed. See docs/worlds/prose.md.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chaptersOf, chaptersOfVerses } from "./prose/paragraphs.mjs";
import { readLazyLoad } from "./prose/r-data.mjs";

/** @typedef {{ id: string, source: string, licence: string, text: string }} ProseDocument */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = resolve(process.argv[2] ?? join(root, ".cache", "prose.jsonl"));
const licence = "public domain";

/** The novels in the order of their publication: the name in the package, and the title. */
const novels = /** @type {const} */ ([
  ["sensesensibility", "Sense and Sensibility"],
  ["prideprejudice", "Pride and Prejudice"],
  ["mansfieldpark", "Mansfield Park"],
  ["emma", "Emma"],
  ["northangerabbey", "Northanger Abbey"],
  ["persuasion", "Persuasion"],
]);

const folder = mkdtempSync(join(tmpdir(), "latentkit-prose-"));
try {
  const documents = [...austen(), ...kingJames()];
  const bytes = Buffer.from(
    documents.map((document) => `${JSON.stringify(document)}\n`).join(""),
    "utf8",
  );
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(`${output}.part`, bytes, { flush: true });
  renameSync(`${output}.part`, output);
  const characters = documents.reduce((sum, { text }) => sum + text.length, 0);
  const words = documents.reduce((sum, { text }) => sum + text.split(/\s+/).length, 0);
  console.log(output);
  console.log(`${documents.length} chapters, ${words} words, ${characters} characters`);
  console.log(`sha256 ${sha256(bytes)}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** @returns {ProseDocument[]} */
function austen() {
  const unpacked = debianPackage("r-cran-janeaustenr");
  const data = join(unpacked, "usr/lib/R/site-library/janeaustenr/data/Rdata");
  const variables = readLazyLoad(readFileSync(`${data}.rdx`), readFileSync(`${data}.rdb`));
  return novels.flatMap(([name, title]) => {
    const lines = variables.get(name);
    if (!Array.isArray(lines)) fail(`the package has no text of ${title}`, "use version 1.0.0");
    const text = lines.map((line) => (typeof line === "string" ? line : ""));
    return chaptersOf(text).map(({ chapter, paragraphs }) => ({
      id: `${name}/${chapter}`,
      source: `Jane Austen, ${title}`,
      licence,
      text: paragraphs.join("\n\n"),
    }));
  });
}

/** @returns {ProseDocument[]} */
function kingJames() {
  const text = debianPackage("bible-kjv-text");
  const program = debianPackage("bible-kjv");
  const printed = command(
    join(program, "usr/bin/bible"),
    ["-p", join(text, "usr/lib"), "-f", "gen1:1-rev22:21"],
    "the program of bible-kjv needs libreadline8",
  );
  return chaptersOfVerses(printed).map(({ book, chapter, paragraphs }) => ({
    id: `kjv/${book}/${chapter}`,
    source: "The Bible, King James Version",
    licence,
    text: paragraphs.join("\n\n"),
  }));
}

/** @param {string} name @returns {string} the folder in which its files lie */
function debianPackage(name) {
  const place = join(folder, name);
  mkdirSync(place);
  command(
    "apt-get",
    ["download", name],
    "a Debian or Ubuntu with package lists is needed: apt-get update",
    place,
  );
  const archive = readdirSync(place).find((file) => file.endsWith(".deb"));
  if (archive === undefined) fail(`apt-get left no package of ${name}`, "try apt-get update");
  console.log(`${archive} sha256 ${sha256(readFileSync(join(place, archive)))}`);
  const files = join(place, "files");
  command("dpkg-deb", ["-x", join(place, archive), files], "dpkg is needed");
  return files;
}

/** @param {string} program @param {readonly string[]} args @param {string} fix @param {string} [cwd] */
function command(program, args, fix, cwd = folder) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 64 * 2 ** 20,
    env: { ...process.env, LC_ALL: "C", COLUMNS: "80" },
    input: "",
  });
  if (status === 0) return stdout;
  return fail(
    `${program} ${args.join(" ")} failed: ${error?.message ?? (stderr.trim() || `exit code ${status}`)}`,
    fix,
  );
}

/** @param {Uint8Array} bytes */
function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** @param {string} message @param {string} fix @returns {never} */
function fail(message, fix) {
  console.error(`prose: ${message}\n  fix: ${fix}`);
  rmSync(folder, { recursive: true, force: true });
  process.exit(1);
}
