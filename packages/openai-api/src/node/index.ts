export { serveModel } from "./serve-model.ts";
export type { ModelServer, ServeModelOptions } from "./serve-model.ts";
