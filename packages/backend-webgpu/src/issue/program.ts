import type { Binding, Placed, Slot } from "./operands.ts";
import type { Features } from "../features.ts";
import { withLibrary } from "../wgsl/library.ts";

/** The type of a parameter in WGSL. */
export type ParameterType = "f32" | "i32" | "u32";

/** What a program's text is made of. */
export interface ProgramText {
  readonly binding: Binding;
  /** In the order of the words that a dispatch gives. */
  readonly parameters: readonly (readonly [name: string, type: ParameterType])[];
  readonly lanes: number;
  /** Whether a processor runs it in place of a GPU, and whether reductions go by subgroups. */
  readonly features: Pick<Features, "software" | "subgroups">;
  /** Defines `fn run(group: u32, lane: u32)`, which is called for each invocation of each workgroup. */
  readonly body: string;
}

/**
 * A whole program in WGSL: parameters `p`, for each operand `load_NAME(i)` and, where it is written, `store_NAME(i, value)`, the
 * functions of the library that the body calls, the body, and the entry point.
 *
 * Elements of f32 and i32 are of that type; u8, f16, bf16 and raw ones are loaded as the low bits of a u32. Operands of less than
 * 4 bytes are written by words instead: `word_NAME(w)`, `set_word_NAME(w, bits)`, `w` counted from the start of the binding,
 * where element i lies at `p.at_NAME + i` elements.
 */
export function programText({ binding, parameters, lanes, features, body }: ProgramText): string {
  const { slots, placed, segmentWords } = binding;
  const fields = parameters.map(([name, type]) => `  ${name}: ${type},`).join("\n");
  const accessors = placed.map((operand) =>
    accessorsOf(operand, slots[operand.slot], segmentWords),
  );
  const own = withLibrary(`${accessors.join("\n")}\n${body}`, features.subgroups);
  return `${extensions(own)}struct Parameters {
${fields}
}
@group(0) @binding(0) var<uniform> p: Parameters;
const LANES = ${lanes}u;
const SOFTWARE = ${features.software};
${declarations(slots)}
${own}
@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = id.x + id.y * count.x;
  if (group >= p.groups) { return; }
  run(group, lane);
}
`;
}

/** Where tiles lie follows from an invocation's number, of which the compiler does not know that subgroups share it. */
const warnings: Readonly<Record<string, string>> = {
  chromium_experimental_subgroup_matrix: "diagnostic(off, chromium.subgroup_matrix_uniformity);\n",
};

/** The language extensions that a text makes use of, by the words that only they have. */
function extensions(text: string): string {
  const used: readonly (readonly [RegExp, string])[] = [
    [/\bf16\b/, "f16"],
    [/\bsubgroup[A-Z_]/, "subgroups"],
    [/\bsubgroup_matrix_/, "chromium_experimental_subgroup_matrix"],
  ];
  return used
    .filter(([word]) => word.test(text))
    .map(([, name]) => `enable ${name};\n${warnings[name] ?? ""}`)
    .join("");
}

function declarations(slots: readonly Slot[]): string {
  const lines: string[] = [];
  for (const [slot, { type, writable, segments }] of slots.entries())
    for (let segment = 0; segment < segments; segment++)
      lines.push(
        `@group(0) @binding(${lines.length + 1}) var<storage, ${writable ? "read_write" : "read"}> memory_${slot}_${segment}: array<${type}>;`,
      );
  return lines.join("\n");
}

/** Text for the segment that holds word `i`. */
function bySegment(
  slot: number,
  segments: number,
  segmentWords: number,
  use: (element: string) => string,
): string {
  const lines: string[] = [];
  for (let segment = 0; segment < segments; segment++) {
    const place = segment === 0 ? "i" : `i - ${segment * segmentWords}u`;
    const line = use(`memory_${slot}_${segment}[${place}]`);
    lines.push(
      segment === segments - 1
        ? `  ${line}`
        : `  if (i < ${(segment + 1) * segmentWords}u) { ${line} }`,
    );
  }
  return lines.join("\n");
}

function accessorsOf(operand: Placed, slot: Slot | undefined, segmentWords: number): string {
  if (slot === undefined) return "";
  const { name, dtype, access, raw, slot: index } = operand;
  const { type, segments } = slot;
  const narrow = dtype === "u8" ? 4 : dtype === "f16" || dtype === "bf16" ? 2 : 1;
  const value = raw || narrow > 1 ? "u32" : dtype;
  const stored = type === "atomic<u32>" ? "u32" : type;
  const to = (text: string, target: string, from: string) =>
    target === from ? text : `bitcast<${target}>(${text})`;
  const segment = (use: (element: string) => string) =>
    bySegment(index, segments, segmentWords, use);
  const fetch = (element: string) =>
    to(type === "atomic<u32>" ? `atomicLoad(&${element})` : element, value, stored);
  const put = (element: string) =>
    type === "atomic<u32>"
      ? `atomicStore(&${element}, ${to("value", stored, value)}); return;`
      : `${element} = ${to("value", stored, value)}; return;`;
  const text: string[] = [
    `fn word_${name}(i: u32) -> ${value} {\n${segment((element) => `return ${fetch(element)};`)}\n}`,
  ];
  if (narrow === 1)
    text.push(`fn load_${name}(i: u32) -> ${value} { return word_${name}(p.at_${name} + i); }`);
  else {
    const bits = 32 / narrow;
    text.push(
      `fn load_${name}(i: u32) -> u32 {
  let at = p.at_${name} + i;
  return extractBits(word_${name}(at / ${narrow}u), (at % ${narrow}u) * ${bits}u, ${bits}u);
}`,
    );
  }
  if (access === "read") return text.join("\n");
  text.push(`fn set_word_${name}(i: u32, value: ${value}) {\n${segment(put)}\n}`);
  if (narrow === 1)
    text.push(
      `fn store_${name}(i: u32, value: ${value}) { set_word_${name}(p.at_${name} + i, value); }`,
    );
  if (access === "atomic")
    for (const operation of ["Add", "And", "Min", "Or"])
      text.push(
        `fn atomic${operation}Word_${name}(i: u32, value: u32) {\n${segment((element) => `atomic${operation}(&${element}, value); return;`)}\n}`,
      );
  return text.join("\n");
}
