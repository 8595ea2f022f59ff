import type { Random } from "@latentkit/core";
import { type PerFeature, syntheticError } from "./config.ts";

/**
 * The number of each feature, in f64.
 *
 * @param least and `most` the numbers that are allowed
 */
export function perFeature(
  name: string,
  rule: PerFeature,
  features: number,
  {
    random,
    least,
    most,
  }: { readonly random: Random; readonly least: number; readonly most: number },
): Float64Array {
  const values = ruleValues(name, rule, features, random);
  const bad = values.findIndex((value) => !(value >= least && value <= most));
  if (bad >= 0)
    throw syntheticError(
      `${name}: feature ${bad} has ${values[bad]}, not a number from ${least} to ${most}`,
    );
  return values;
}

function ruleValues(
  name: string,
  rule: PerFeature,
  features: number,
  random: Random,
): Float64Array {
  if (typeof rule === "number") return new Float64Array(features).fill(rule);
  const each = (value: (feature: number) => number): Float64Array =>
    Float64Array.from({ length: features }, (_, feature) => value(feature));
  if (!("kind" in rule)) {
    if (rule.length !== features)
      throw syntheticError(`${name}: ${rule.length} numbers for ${features} features`);
    return Float64Array.from(rule);
  }
  const share = (feature: number): number => (features === 1 ? 0 : feature / (features - 1));
  switch (rule.kind) {
    case "linear":
      return each((feature) => rule.start + (rule.end - rule.start) * share(feature));
    case "exponential":
      if (rule.start <= 0 || rule.end <= 0)
        throw syntheticError(`${name}: ${rule.start} to ${rule.end} by equal factors`);
      return each((feature) => rule.start * (rule.end / rule.start) ** share(feature));
    case "zipf": {
      const last = features ** -rule.exponent;
      return each((feature) => {
        const rank = (feature + 1) ** -rule.exponent;
        return features === 1
          ? rule.start
          : rule.end + ((rule.start - rule.end) * (rank - last)) / (1 - last);
      });
    }
    case "uniform":
      return each(() => rule.from + (rule.to - rule.from) * random.uniform());
    case "folded-normal":
      return each(() => Math.abs(rule.mean + rule.deviation * random.normal()));
  }
}
