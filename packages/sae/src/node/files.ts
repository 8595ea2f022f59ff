import { saeLensFiles } from "../formats/saelens.ts";

/** Names inside an SAE's folder, those of SAELens but for the last. */
export const files = { ...saeLensFiles, training: "training.json" } as const;
