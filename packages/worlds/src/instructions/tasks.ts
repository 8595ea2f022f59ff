/** What an instruction asks for, with all that is needed to check a reply. A tagged union over `kind`. */
export type InstructionTask =
  | { readonly kind: "repeat"; readonly phrase: string }
  | { readonly kind: "capitals"; readonly phrase: string }
  | { readonly kind: "count"; readonly phrase: string; readonly count: number }
  | {
      readonly kind: "list";
      readonly category: string;
      readonly count: number;
      readonly members: readonly string[];
    }
  | { readonly kind: "reverse"; readonly items: readonly string[] }
  | { readonly kind: "one-word"; readonly question: string; readonly answer: string }
  | { readonly kind: "longer"; readonly words: readonly [string, string]; readonly answer: string }
  | { readonly kind: "opposite"; readonly word: string; readonly answer: string }
  | { readonly kind: "sum"; readonly terms: readonly [number, number]; readonly sum: number }
  | {
      readonly kind: "continue";
      readonly shown: readonly number[];
      readonly next: readonly number[];
    }
  | { readonly kind: "spell"; readonly word: string }
  | { readonly kind: "greet"; readonly name: string };

/** One of {@link instructionKinds}. */
export type InstructionKind = InstructionTask["kind"];

/** A task, how a user words it, and a right reply. */
export interface Instruction {
  readonly task: InstructionTask;
  readonly prompt: string;
  readonly reply: string;
}

/** The kinds, in the order of the union. */
export const instructionKinds = [
  "repeat",
  "capitals",
  "count",
  "list",
  "reverse",
  "one-word",
  "longer",
  "opposite",
  "sum",
  "continue",
  "spell",
  "greet",
] as const satisfies readonly InstructionKind[];
