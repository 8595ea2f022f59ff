import { activations } from "./activations.ts";
import { bits } from "./bits.ts";
import { exponentials } from "./exponentials.ts";
import { groups } from "./groups.ts";
import { halves } from "./halves.ts";
import { philox } from "./philox.ts";
import { powers } from "./powers.ts";
import { subgroups } from "./subgroups.ts";
import { doubles } from "./doubles.ts";
import { trigonometry } from "./trigonometry.ts";

/** Functions in WGSL by name; each text may call others of the library. */
export type Library = Readonly<Record<string, string>>;

const library: ReadonlyMap<string, string> = new Map(
  [bits, exponentials, powers, trigonometry, activations, halves, philox, doubles, groups].flatMap(
    (part) => Object.entries(part),
  ),
);

const bySubgroups: ReadonlyMap<string, string> = new Map(Object.entries(subgroups));

/**
 * The text, preceded by each function of the library that it calls, and those that they call; reductions over a workgroup go by
 * subgroups where `useSubgroups` says that there are some.
 */
export function withLibrary(text: string, useSubgroups: boolean = false): string {
  const used = new Set<string>();
  const pending = [text];
  const parts: string[] = [];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [, name = ""] of next.matchAll(/\b([a-z_]\w*)\(/gi)) {
      const found = (useSubgroups ? bySubgroups.get(name) : undefined) ?? library.get(name);
      if (found === undefined || used.has(name)) continue;
      used.add(name);
      parts.push(found);
      pending.push(found);
    }
  }
  return `${parts.join("\n")}\n${text}`;
}
