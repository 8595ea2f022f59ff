/** A labelled stretch of a document's text. */
export interface Span {
  /** First and one past the last UTF-16 code unit: `text.slice(start, end)` is what the label is about. */
  readonly start: number;
  readonly end: number;
  /** What it is, for example `"entity"`, `"value"`, `"sentence"`, `"cue"`; each world's page lists its labels. */
  readonly label: string;
  /** What is known about it, for example `{ type: "people", group: "known", name: "Orla Vance" }`. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** One turn of a dialogue. */
export interface Turn {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A generated document with its gold labels. */
export interface WorldDocument {
  /** `WORLD/INDEX`. */
  readonly id: string;
  readonly world: string;
  /** What a model reads. Dialogues are rendered by {@link renderTurns}. */
  readonly text: string;
  /** The turns of a dialogue; null for running text. */
  readonly turns: readonly Turn[] | null;
  /** In order of their starts; spans may nest. */
  readonly spans: readonly Span[];
  /** Labels of the whole document, for example `{ persona: "gloomy" }`. */
  readonly labels: Readonly<Record<string, string | number | boolean>>;
}

/**
 * An endless sequence of documents. The document at an index depends on the world's seed and the index alone, so that any run can
 * start anywhere, and nothing has to be stored.
 */
export interface World {
  readonly name: string;
  readonly seed: number;
  document(index: number): WorldDocument;
}
