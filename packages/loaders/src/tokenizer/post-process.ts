import { byteToCharacter } from "./byte-level.ts";
import { whitespace } from "./character-classes.ts";
import { asComponent, definitionError, unsupportedError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";
import type { EncodingBuilder } from "./encoding-builder.ts";

/** What is done to the tokens of a text at the end. */
export interface PostProcessor {
  /** Ids put before and after a text with special tokens. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Narrows the spans of tokens to what is not white space; null where spans stay as they are. */
  readonly trim: ((encoding: EncodingBuilder, text: string) => void) | null;
}

/** What a post-processor knows of tokens. */
interface Tokens {
  /** Ids by token, and tokens by id, added ones included. */
  readonly ids: ReadonlyMap<string, number>;
  readonly vocabulary: readonly (string | undefined)[];
  /** The ids of added tokens. */
  readonly added: ReadonlySet<number>;
}

/** Makes the post-processor that a tokenizer's definition asks for; throws `TOKENIZER_UNSUPPORTED` where it is not there. */
export function makePostProcessor(
  component: TokenizerComponent | null,
  tokens: Tokens,
): PostProcessor {
  if (component === null) return { before: [], after: [], trim: null };
  switch (component.type) {
    case "TemplateProcessing":
      return { ...readTemplate(component, tokens.ids), trim: null };
    case "BertProcessing":
      return { before: [pairId(component, "cls")], after: [pairId(component, "sep")], trim: null };
    case "RobertaProcessing":
      return {
        before: [pairId(component, "cls")],
        after: [pairId(component, "sep")],
        trim: makeTrim(component, tokens),
      };
    case "ByteLevel":
      return { before: [], after: [], trim: makeTrim(component, tokens) };
    case "Sequence": {
      const list: unknown = component.processors;
      if (!Array.isArray(list))
        throw definitionError("a Sequence post-processor has no list of processors");
      const steps = list.map((step: unknown) => makePostProcessor(asComponent(step), tokens));
      return {
        before: steps.toReversed().flatMap(({ before }) => before),
        after: steps.flatMap(({ after }) => after),
        trim: steps.find(({ trim }) => trim !== null)?.trim ?? null,
      };
    }
    default:
      throw unsupportedError(
        `the tokenizer uses the post-processor "${component.type}", which is not supported`,
      );
  }
}

/** BERT's and RoBERTa's `["[CLS]", 101]`. */
function pairId(component: TokenizerComponent, key: "cls" | "sep"): number {
  const pair: unknown = component[key];
  const id: unknown = Array.isArray(pair) ? pair[1] : undefined;
  if (typeof id === "number" && Number.isInteger(id) && id >= 0) return id;
  throw definitionError(`the post-processor's ${key} is no pair of token and id`);
}

function readTemplate(
  component: TokenizerComponent,
  ids: ReadonlyMap<string, number>,
): Pick<PostProcessor, "before" | "after"> {
  if (!Array.isArray(component.single))
    throw definitionError("a TemplateProcessing has no list `single`");
  const pieces: readonly unknown[] = component.single;
  const before: number[] = [];
  const after: number[] = [];
  let side = before;
  for (const piece of pieces) {
    const token = specialTokenOf(piece);
    if (token !== null) side.push(...idsOf(token, component.special_tokens, ids));
    else if (side === before) side = after;
    else throw unsupportedError("the tokenizer puts a text twice into its template");
  }
  if (side === before) throw definitionError("a TemplateProcessing has no place for the text");
  return { before, after };
}

/** The token of a template's piece, or null where the text goes. */
function specialTokenOf(piece: unknown): string | null {
  const inner: unknown =
    typeof piece === "object" && piece !== null && "SpecialToken" in piece
      ? piece.SpecialToken
      : undefined;
  if (typeof inner === "object" && inner !== null && "id" in inner && typeof inner.id === "string")
    return inner.id;
  if (typeof piece === "object" && piece !== null && "Sequence" in piece) return null;
  throw definitionError("a piece of a TemplateProcessing is neither SpecialToken nor Sequence");
}

/** The template's own table says which ids a special token stands for; where it is silent, the vocabulary does. */
function idsOf(token: string, table: unknown, ids: ReadonlyMap<string, number>): readonly number[] {
  const row: unknown =
    typeof table === "object" && table !== null
      ? Object.entries(table).find(([key]) => key === token)?.[1]
      : undefined;
  if (typeof row === "object" && row !== null && "ids" in row && Array.isArray(row.ids)) {
    const list: readonly unknown[] = row.ids;
    return list.map((id) => {
      if (typeof id === "number" && Number.isInteger(id) && id >= 0) return id;
      throw definitionError(`the post-processor gives ${JSON.stringify(token)} an id that is none`);
    });
  }
  const id = ids.get(token);
  if (id !== undefined) return [id];
  throw definitionError(
    `the post-processor adds ${JSON.stringify(token)}, which is not in the vocabulary`,
  );
}

/**
 * The reference counts a token's blanks at both ends, and moves the ends of its span by as many characters of the text. Of an added token it
 * counts those of the text that was found.
 */
function makeTrim(
  component: TokenizerComponent,
  { vocabulary, added: addedIds }: Tokens,
): PostProcessor["trim"] {
  if (component.trim_offsets === false) return null;
  const addsSpace = component.add_prefix_space !== false;
  const counts = new Map<number, readonly [number, number]>();
  const blanksOf = (id: number): readonly [number, number] => {
    const known = counts.get(id);
    if (known !== undefined) return known;
    const found = countBlanks(vocabulary[id] ?? "");
    counts.set(id, found);
    return found;
  };
  return (encoding, text) => {
    encoding.mapSpans((id, start, end, index) => {
      const [left, right] = addedIds.has(id) ? countBlanks(text.slice(start, end)) : blanksOf(id);
      // A space that was put before the text is not there to be cut off.
      const added = addsSpace && left === 1 && (index === 0 || start === 0);
      const from = added ? start : Math.min(stepped(text, start, left), end);
      const to = stepped(text, end, -right);
      return [from, to < 0 ? end : Math.max(to, from)];
    });
  };
}

const blank = /* @__PURE__ */ new RegExp(`[${byteToCharacter[0x20] ?? ""}${whitespace}]`, "u");

/** How many blanks a token begins and ends with. */
function countBlanks(token: string): readonly [number, number] {
  let left = 0;
  while (left < token.length && blank.test(token[left] ?? "")) left++;
  let right = 0;
  while (right < token.length && blank.test(token[token.length - 1 - right] ?? "")) right++;
  return [left, right];
}

/** The place some characters after `at`, or before it; -1 where the text begins earlier. */
function stepped(text: string, at: number, characters: number): number {
  let reached = at;
  for (let i = 0; i < characters; i++) reached += (text.codePointAt(reached) ?? 0) > 0xffff ? 2 : 1;
  for (let i = 0; i > characters && reached >= 0; i--)
    reached -= reached > 1 && (text.codePointAt(reached - 2) ?? 0) > 0xffff ? 2 : 1;
  return reached;
}
