// What the library's translation of Oniguruma's patterns leaves out. JavaScript has no possessive quantifiers (`a++`) and no atomic
// groups (`(?>a)`), which keep what they matched; a lookahead keeps it too, so both become `(?=(?<n>...))\k<n>`. And where case does
// not matter, the long s and the Kelvin sign are an s and a k.

const braced = /\\[pPx]\{[^}]*\}|\\k<[^>]*>/y;
const prefix = /\(\?(?:<[=!]|<[A-Za-z_]\w*>|[:=!>]|[a-z-]+:)|\(/y;
const interval = /\{(?:\d+(?:,\d*)?|,\d+)\}/y;

interface Group {
  /** Where in what is written the group begins. */
  readonly at: number;
  readonly atomic: boolean;
  readonly ignoresCase: boolean;
}

/** Rewrites what the library would translate wrongly; the rest of an Oniguruma pattern stays as it is. */
export function prepareOniguruma(pattern: string): string {
  const whole = pattern.replace(/^\(\?i\)(.*)$/s, "(?i:$1)");
  return /[+*?]\+|\(\?>|\(\?i/.test(whole) ? rewrite(whole) : whole;
}

function rewrite(pattern: string): string {
  const out: string[] = [];
  const groups: Group[] = [];
  let count = 0;
  let atom = 0;
  const seal = (): void => {
    const name = `possessive${count++}`;
    const inner = out.splice(atom).join("");
    out.push(`(?=(?<${name}>${inner}))\\k<${name}>`);
  };
  for (let at = 0; at < pattern.length;) {
    const character = pattern[at] ?? "";
    const ignoresCase = groups.at(-1)?.ignoresCase === true;
    const opening = character === "(" ? stickyMatch(prefix, pattern, at) : "";
    if (opening !== "") {
      const atomic = opening === "(?>";
      groups.push({ at: out.length, atomic, ignoresCase: ignoresCase || opening === "(?i:" });
      out.push(atomic ? "(?:" : opening);
      at += opening.length;
    } else if (character === ")") {
      out.push(")");
      const group = groups.pop();
      atom = group?.at ?? out.length - 1;
      if (group?.atomic === true) seal();
      at++;
    } else if ("+*?".includes(character)) {
      out.push(character);
      at++;
      if (pattern[at] === "+") {
        seal();
        at++;
      } else if (pattern[at] === "?") out.push(pattern[at++] ?? "");
    } else {
      const repeat = stickyMatch(interval, pattern, at);
      // After an interval, Oniguruma's plus is a second quantifier.
      const plus = repeat !== "" && pattern[at + repeat.length] === "+" ? "+" : "";
      const text = repeat === "" ? readAtom(pattern, at) : repeat + plus;
      if (repeat === "") atom = out.length;
      out.push(ignoresCase && repeat === "" ? foldAtom(text) : text);
      at += text.length;
    }
  }
  return out.join("");
}

const foldings: readonly (readonly [RegExp, string])[] = [
  [/[sS]|[a-rA-R]-[s-zS-Z]/, "\u017f"],
  [/[kK]|[a-jA-J]-[k-zK-Z]/, "\u212a"],
];

/** Adds to a letter, or to a character class, what is the same letter where case does not matter. */
function foldAtom(atom: string): string {
  if (atom.startsWith("\\")) return atom;
  const literals = atom.replaceAll(/\\(?:[pP]\{[^}]*\}|.)/gs, "");
  const added = foldings.filter(([found]) => found.test(literals)).map(([, letter]) => letter);
  if (added.length === 0) return atom;
  return atom.startsWith("[")
    ? `${atom.slice(0, -1)}${added.join("")}]`
    : `[${atom}${added.join("")}]`;
}

function readAtom(pattern: string, at: number): string {
  const escape = stickyMatch(braced, pattern, at);
  if (escape !== "") return escape;
  if (pattern[at] === "\\") return pattern.slice(at, at + 2);
  if (pattern[at] !== "[") return String.fromCodePoint(pattern.codePointAt(at) ?? 0);
  let depth = 0;
  for (let end = at; end < pattern.length; end++) {
    const character = pattern[end];
    if (character === "\\") end++;
    else if (character === "[") depth++;
    else if (character === "]" && --depth === 0) return pattern.slice(at, end + 1);
  }
  return pattern.slice(at);
}

function stickyMatch(expression: RegExp, text: string, at: number): string {
  expression.lastIndex = at;
  return expression.exec(text)?.[0] ?? "";
}
