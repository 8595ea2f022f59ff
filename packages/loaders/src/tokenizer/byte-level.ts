// GPT-2's spelling of bytes: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up.

/** The character of each byte. */
export const byteToCharacter: readonly string[] = /* @__PURE__ */ makeTable();

const characterToByte: ReadonlyMap<string, number> = /* @__PURE__ */ new Map(
  /* @__PURE__ */ byteToCharacter.map((character, byte) => [character, byte]),
);

const encoder = /* @__PURE__ */ new TextEncoder();

/** The bytes that a token stands for: those its characters spell, or its UTF-8 where it uses any other character. */
export function bytesOfToken(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = characterToByte.get(token[i] ?? "");
    if (byte === undefined) return encoder.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

/** Whether every character of the token spells a byte. */
export function spellsBytes(token: string): boolean {
  for (const character of token) if (!characterToByte.has(character)) return false;
  return true;
}

/** Text in bytes, and for each byte the UTF-16 index of the character it belongs to and of the one after. */
export interface SpelledText {
  readonly spelled: string;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** Spells a text in the byte alphabet. A lone surrogate becomes U+FFFD, as everywhere in UTF-8. */
export function spellBytes(text: string): SpelledText {
  const bytes = encoder.encode(text);
  const starts = new Int32Array(bytes.length);
  const ends = new Int32Array(bytes.length);
  let spelled = "";
  let at = 0;
  for (let index = 0; index < text.length;) {
    const code = text.codePointAt(index) ?? 0;
    const width = code > 0xffff ? 2 : 1;
    const count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (let i = 0; i < count; i++, at++) {
      starts[at] = index;
      ends[at] = index + width;
      spelled += byteToCharacter[bytes[at] ?? 0] ?? "";
    }
    index += width;
  }
  return { spelled, starts, ends };
}

function makeTable(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}
