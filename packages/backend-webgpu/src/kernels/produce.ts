import { bytesPerElement } from "@latentkit/core";
import type { Slice } from "@latentkit/tensor";
import { type Operand, raw, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";

/** A kernel that computes each element of its output by itself. */
export interface Production {
  readonly name: string;
  readonly out: Slice;
  /** The output is moved as bits; of 4 bytes. */
  readonly raw?: boolean | undefined;
  readonly operands?: Readonly<Record<string, Operand | null>> | undefined;
  readonly parameters?: Readonly<Record<string, Parameter>> | undefined;
  /** Defines `fn element(i: u32)`, which returns element i: f32, i32, or the bits of it as u32. */
  readonly element: () => string;
}

const lanes = 256;

/**
 * Issues it: an invocation for each element, or, of dtypes of less than 4 bytes, for each word that holds some, which keeps the other
 * bytes of words at the edges. The output may be an input of which `element` reads element i alone.
 *
 * Traffic: each operand's elements once, and the output once.
 */
export function produce(runtime: Runtime, production: Production): void {
  const { name, out, operands = {}, parameters = {}, element } = production;
  const perWord = 4 / bytesPerElement(out.dtype);
  if (perWord === 1) {
    runtime.issue({
      name,
      operands: { ...operands, out: production.raw === true ? raw(write(out)) : write(out) },
      parameters: { ...parameters, count: u32(out.length) },
      groups: Math.ceil(out.length / lanes),
      lanes,
      body: () => `${element()}
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i < p.count) { store_out(i, element(i)); }
}`,
    });
    return;
  }
  const width = 32 / perWord;
  // However the elements lie to words, no more words hold them.
  const words = out.length === 0 ? 0 : Math.ceil((out.length - 1) / perWord) + 1;
  runtime.issue({
    name,
    operands: { ...operands, out: write(out) },
    parameters: { ...parameters, count: u32(out.length) },
    groups: Math.ceil(words / lanes),
    lanes,
    body: () => `${element()}
fn run(group: u32, lane: u32) {
  let first = p.at_out;
  let word = first / ${perWord}u + group * LANES + lane;
  if (word * ${perWord}u >= first + p.count) { return; }
  var bits = word_out(word);
  for (var part = 0u; part < ${perWord}u; part++) {
    let at = word * ${perWord}u + part;
    if (at >= first && at < first + p.count) {
      bits = insertBits(bits, element(at - first), part * ${width}u, ${width}u);
    }
  }
  set_word_out(word, bits);
}`,
  });
}

/** A production from one or more floats of the same place: `expression` over the operands' names, as `load_NAME(i)`. */
export function mapFloats(
  runtime: Runtime,
  name: string,
  out: Slice,
  operands: Readonly<Record<string, Operand>>,
  expression: string,
  numbers: Readonly<Record<string, number>> = {},
): void {
  const parameters = Object.fromEntries(
    Object.entries(numbers).map(([key, value]) => [key, f32(value)]),
  );
  produce(runtime, {
    name,
    out,
    operands,
    parameters,
    element: () => {
      const lets = Object.keys(operands).map((key) => `  let ${key} = load_${key}(i);`);
      return `fn element(i: u32) -> f32 {\n${lets.join("\n")}\n  return ${expression};\n}`;
    },
  });
}
