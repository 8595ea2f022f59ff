// Number agreement in the embedded model: "I think that they" asks for " are", "I think that he" for " is".
import { logitDifference } from "@latentkit/analysis";
import type { RowMetric } from "@latentkit/circuits";
import type { LanguageModel } from "@latentkit/models";

const leads = [
  "I think",
  "We know",
  "She said",
  "He said",
  "You see",
  "I hope",
  "We hope",
  "He knows",
  "I know",
  "We think",
  "She knows",
  "I said",
  "We said",
  "I see",
  "She says",
  "He says",
].map((lead) => `${lead} that`);

/** Plural prompts and their singular counterparts, all of one length, and the difference of the verbs' logits. */
export function agreement(model: LanguageModel): {
  readonly plural: readonly (readonly number[])[];
  readonly singular: readonly (readonly number[])[];
  readonly metric: RowMetric;
} {
  const ids = (text: string): readonly number[] => [...model.tokenizer!.encode(text).ids];
  const pairs = leads
    .map((lead) => [ids(`${lead} they`), ids(`${lead} he`)] as const)
    .filter(([plural, singular]) => plural.length === 4 && singular.length === 4);
  const [are, is] = [ids(" are"), ids(" is")];
  return {
    plural: pairs.map(([plural]) => plural),
    singular: pairs.map(([, singular]) => singular),
    metric: logitDifference({ target: are[0]!, contrast: is[0]!, reduction: "none" }),
  };
}
