export { chatClient } from "./client/chat-client.ts";
export type { ChatClientOptions } from "./client/chat-client.ts";
export { modelResponder } from "./client/model-responder.ts";
export type { ChatTurn, Reply, RespondOptions, Responder } from "./client/responder.ts";
export { splitReasoning } from "./client/split-reasoning.ts";
export type { SplitText } from "./client/split-reasoning.ts";
export { chatRequestSchema, completionRequestSchema } from "./schema/requests.ts";
export type { ChatRequest, CompletionRequest } from "./schema/requests.ts";
