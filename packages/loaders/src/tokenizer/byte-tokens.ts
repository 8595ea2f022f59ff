const encoder = /* @__PURE__ */ new TextEncoder();

/** The ids of the tokens `<0x00>` to `<0xFF>` that spell a text in UTF-8; null where one of them is missing. */
export function byteTokens(
  text: string,
  vocabulary: ReadonlyMap<string, number>,
): readonly number[] | null {
  const ids: number[] = [];
  for (const byte of encoder.encode(text)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (id === undefined) return null;
    ids.push(id);
  }
  return ids;
}
