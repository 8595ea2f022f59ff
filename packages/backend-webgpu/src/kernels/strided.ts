import { type Parameter, u32 } from "../runtime.ts";

/** Axes that are walked by strides: the parameters, and functions `place_NAME(i)` from an index in row-major order. */
export interface StridedWalk {
  /** Part of a program's key. */
  readonly key: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly text: string;
}

/**
 * The walk of operands, given by name, over one shape. Strides are in elements; 0 repeats, and negative ones walk backwards. Operators
 * have merged axes before, so that ranks are low and programs few.
 */
export function stridedWalk(
  shape: readonly number[],
  operands: Readonly<Record<string, readonly number[]>>,
): StridedWalk {
  const rank = shape.length;
  const parameters: Record<string, Parameter> = {};
  for (let axis = 1; axis < rank; axis++) parameters[`size${axis}`] = u32(shape[axis] ?? 1);
  const functions = Object.entries(operands).map(([name, strides]) => {
    const lines: string[] = [];
    for (let axis = rank - 1; axis >= 0; axis--) {
      parameters[`${name}${axis}`] = u32(strides[axis] ?? 0);
      if (axis === 0) lines.push(`  place += rest * p.${name}0;`);
      else
        lines.push(
          `  place += (rest % p.size${axis}) * p.${name}${axis};`,
          `  rest = rest / p.size${axis};`,
        );
    }
    return `fn place_${name}(i: u32) -> u32 {\n  var rest = i;\n  var place = 0u;\n${lines.join("\n")}\n  return place;\n}`;
  });
  return { key: `rank${rank}`, parameters, text: functions.join("\n") };
}
