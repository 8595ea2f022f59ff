import { describeSae, type OpenSaeOptions } from "@latentkit/sae/node";
import type { Inspection } from "./inspect-path.ts";
import { scalarsOf } from "./scalars.ts";

/** What an SAE's files say, in any format that is read, without its weights. */
export async function inspectSae(
  source: string,
  options: OpenSaeOptions = {},
): Promise<Inspection> {
  const { format, config, folds, tensors } = await describeSae(source, options);
  const tensorLines = tensors.map(
    (tensor) => `${tensor.name}  ${tensor.format}  [${tensor.shape.join(", ")}]`,
  );
  return {
    kind: "sae",
    facts: { format, ...scalarsOf({ ...config }) },
    tables: [
      { title: "tensors", lines: tensorLines },
      ...(folds.length === 0 ? [] : [{ title: "folded when it is loaded", lines: folds }]),
    ],
  };
}
