// The API reference: Markdown pages of every public entry, made from the comments in the sources.
import { readdirSync, readFileSync } from "node:fs";
import { Converter, ReflectionKind } from "typedoc";

const packages = new URL("../packages/", import.meta.url);

/** The source file of every public entry. */
const entryPoints = readdirSync(packages).flatMap((folder) => {
  const { exports } = JSON.parse(readFileSync(new URL(`${folder}/package.json`, packages), "utf8"));
  return Object.values(exports).flatMap((target) => {
    const source = target["@latentkit/source"];
    return source === undefined ? [] : [`../packages/${folder}/${source}`];
  });
});

/** Calls each module by what users import (`@latentkit/sae/node`), not by its file (`sae/src/node`). */
function namePackages(/** @type {import("typedoc").Application} */ app) {
  app.converter.on(
    Converter.EVENT_RESOLVE_BEGIN,
    (/** @type {import("typedoc").Context} */ context) => {
      for (const module of context.project.getReflectionsByKind(ReflectionKind.Module)) {
        module.name = `@latentkit/${module.name.replace("/src", "")}`;
      }
    },
  );
}

/** @type {Partial<import("typedoc").TypeDocOptions>} */
const options = {
  entryPoints,
  tsconfig: "../tsconfig.json",
  plugin: ["typedoc-plugin-markdown", namePackages],
  out: "reference/api",
  name: "API",
  readme: "none",
  hidePageHeader: true,
  // `npm run types` checks the types of the whole repository.
  skipErrorChecking: true,
  excludeExternals: true,
  excludePrivate: true,
  disableSources: true,
  githubPages: false,
  entryFileName: "index",
  hideBreadcrumbs: true,
  outputFileStrategy: "modules",
  logLevel: "Warn",
};
export default options;
