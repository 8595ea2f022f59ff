import { Command } from "commander";
import manifest from "../package.json" with { type: "json" };
import { addAtlas } from "./commands/atlas.ts";
import { addCapture } from "./commands/capture.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEval } from "./commands/eval.ts";
import { addGenerate } from "./commands/generate.ts";
import { addHarvest } from "./commands/harvest.ts";
import { addInspect } from "./commands/inspect.ts";
import { addOpen } from "./commands/open.ts";
import { addSae } from "./commands/sae/index.ts";
import { addServe } from "./commands/serve.ts";
import { addSuite } from "./commands/suite.ts";
import { addTrainLm } from "./commands/train-lm.ts";
import { addTrainTokenizer } from "./commands/train-tokenizer.ts";
import { addWorlds } from "./commands/worlds.ts";
import type { Terminal } from "./terminal.ts";

/** The command tree. Commands parse flags, call packages and draw; the packages do the work. */
export function createProgram(terminal: Terminal): Command {
  const program = new Command("latentkit")
    .description(
      "Mechanistic interpretability from the command line: models, activations, SAEs and their latents.",
    )
    .version(manifest.version)
    .showHelpAfterError("(see --help)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
    })
    .addHelpText(
      "after",
      "\nMODEL is a folder (config.json, *.safetensors, tokenizer.json), a .gguf file, `tiny` or `tiny-instruct` (the embedded model), or `random`.",
    );
  const commands = [
    addAtlas,
    addCapture,
    addDoctor,
    addEval,
    addGenerate,
    addHarvest,
    addInspect,
    addOpen,
    addSae,
    addServe,
    addSuite,
    addTrainLm,
    addTrainTokenizer,
    addWorlds,
  ];
  for (const add of commands) add(program, terminal);
  return program;
}
