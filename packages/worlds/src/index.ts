export { chatTemplate, openTurn, renderTurns, specialTokens, textStart, turnEnd, turnStart } from "./chat-markup.ts";
export type { Span, Turn, World, WorldDocument } from "./document.ts";
export { cumulativeSums, Draw } from "./draw.ts";
