import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { releasedSae } from "../formats/releases.ts";
import { saeLensFiles } from "../formats/saelens.ts";
import { hubPath, withRevision } from "./sae-files.ts";

/** Files that folders of SAEs have and other folders have not. */
const inFolder = [
  saeLensFiles.config,
  "params.npz",
  "params.safetensors",
  "hyperparams.json",
  "ae.pt",
];

/**
 * Whether a path, an address or a name of the hub looks like an SAE's, for commands that take other things too; nothing is opened, and
 * `loadSae` may refuse it all the same.
 *
 * Throws ConfigError `SAE_RELEASE_UNKNOWN` for what begins like a release of SAEs and is none.
 */
export function isSaeSource(text: string): boolean {
  if (/^https?:\/\//iu.test(text)) return isSaeFile(new URL(text).pathname);
  if (!existsSync(text)) {
    const { name } = withRevision(text);
    // A repository by itself, or a GGUF file in it, is a model's.
    const [, path = ""] = hubPath(name) ?? [];
    return releasedSae(name) !== null || (path !== "" && !/\.gguf$/iu.test(path));
  }
  if (!statSync(text).isDirectory()) return isSaeFile(text);
  // A config.json alone is a model's; beside SAELens's weights it is Llama Scope's.
  return (
    inFolder.some((name) => existsSync(join(text, name))) ||
    existsSync(join(text, saeLensFiles.weights))
  );
}

function isSaeFile(path: string): boolean {
  return (
    /\.(?:npz|pt|pth)$/iu.test(path) ||
    /(?:^|[\\/])(?:params|sae|sae_weights)\.safetensors$/iu.test(path)
  );
}
