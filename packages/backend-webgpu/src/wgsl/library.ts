import { activations } from "./activations.ts";
import { bits } from "./bits.ts";
import { exponentials } from "./exponentials.ts";
import { groups } from "./groups.ts";
import { halves } from "./halves.ts";
import { philox } from "./philox.ts";
import { powers } from "./powers.ts";
import { doubles } from "./doubles.ts";
import { trigonometry } from "./trigonometry.ts";

/** Functions in WGSL by name; each text may call others of the library. */
export type Library = Readonly<Record<string, string>>;

const library: ReadonlyMap<string, string> = new Map(
  [bits, exponentials, powers, trigonometry, activations, halves, philox, doubles, groups].flatMap(
    (part) => Object.entries(part),
  ),
);

/** The text, preceded by each function of the library that it calls, and those that they call. */
export function withLibrary(text: string): string {
  const used = new Set<string>();
  const pending = [text];
  const parts: string[] = [];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [, name = ""] of next.matchAll(/\b([a-z_]\w*)\(/gi)) {
      const found = library.get(name);
      if (found === undefined || used.has(name)) continue;
      used.add(name);
      parts.push(found);
      pending.push(found);
    }
  }
  return `${parts.join("\n")}\n${text}`;
}
