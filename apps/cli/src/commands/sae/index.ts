import type { Command } from "commander";
import type { Terminal } from "../../terminal.ts";
import { addSaeConvert } from "./convert.ts";
import { addSaeEncode } from "./encode.ts";
import { addSaeEval } from "./eval.ts";
import { addSaeTrain } from "./train.ts";

/** Adds `sae` and its subcommands. */
export function addSae(program: Command, terminal: Terminal): void {
  const sae = program.command("sae").description("Work with sparse autoencoders.");
  const subcommands = [addSaeConvert, addSaeEncode, addSaeEval, addSaeTrain];
  for (const add of subcommands) add(sae, terminal);
}
