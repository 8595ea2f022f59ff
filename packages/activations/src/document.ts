import type { ChatMessage } from "@latentkit/loaders";

/** A text with a name: the unit that is split into train and held-out, and that no context crosses. */
export interface TextDocument {
  readonly id: string;
  /** The text; for a chat, the contents of its messages, one a line (harvest renders the messages themselves). */
  readonly text: string;
  /** The conversation, if the document is one: it is rendered with the model's own chat template. */
  readonly messages?: readonly ChatMessage[] | undefined;
}

/** A chat as a document. */
export function chatDocument(id: string, messages: readonly ChatMessage[]): TextDocument {
  return { id, text: messages.map((message) => message.content).join("\n"), messages };
}
