import { Random } from "@latentkit/core";
import type { TextDocument } from "../document.ts";
import { sinkWord } from "./word-tokenizer.ts";

/** `count` documents of 3 to 60 random words, a few of them {@link sinkWord}. */
export function randomDocuments(count: number, seed = 0): TextDocument[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) => {
    const words = Array.from({ length: 3 + random.integer(58) }, () =>
      random.integer(40) === 0 ? sinkWord : `w${random.integer(200)}`,
    );
    return { id: `document-${index}`, text: words.join(" ") };
  });
}
