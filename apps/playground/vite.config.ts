import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig } from "vite";

/** The embedded model's files, which the page fetches: Vite serves them, and copies them beside the built page. */
const data = fileURLToPath(new URL("data/", import.meta.resolve("@latentkit/tiny/package.json")));

export default defineConfig({
  // The built page works in any folder of a server.
  base: "./",
  publicDir: data,
  // Sources of this repository, so that nothing has to be built first. A page of your own leaves this out.
  resolve: { conditions: ["@latentkit/source", ...defaultClientConditions] },
  // The backends are loaded when they are needed, which takes a module worker.
  worker: { format: "es" },
  build: { target: "es2022" },
});
