export { saveModel } from "./save-model.ts";
export type { ModelParts, SaveModelOptions } from "./save-model.ts";
