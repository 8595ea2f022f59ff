import { FormatError } from "@latentkit/core";

/** Measured plans, as plain JSON that a caller may keep: names of plans by shape class, by adapter. */
export interface TunedPlans {
  readonly schemaVersion: 1;
  readonly adapters: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** A store that holds nothing. */
export const noPlans: TunedPlans = { schemaVersion: 1, adapters: {} };

/**
 * Checks a store that was read from somewhere. Classes and plans that a device does not know are no fault: it goes by its rule there.
 *
 * Throws {@link FormatError} `TUNED_PLANS_INVALID`.
 */
export function parseTunedPlans(value: unknown): TunedPlans {
  if (!isRecord(value) || value["schemaVersion"] !== 1)
    throw invalid(
      `schemaVersion = ${String(isRecord(value) ? value["schemaVersion"] : value)}, expected 1`,
    );
  const { adapters } = value;
  if (!isRecord(adapters)) throw invalid("no adapters, expected an object of them");
  const checked = Object.entries(adapters).map(([adapter, plans]) => {
    if (!isRecord(plans)) throw invalid(`no plans for ${adapter}, expected an object of them`);
    const entries = Object.entries(plans).map(([shape, plan]) => {
      if (typeof plan !== "string")
        throw invalid(`${typeof plan} as the plan of ${shape} on ${adapter}, expected its name`);
      return [shape, plan] as const;
    });
    return [adapter, Object.fromEntries(entries)] as const;
  });
  return { schemaVersion: 1, adapters: Object.fromEntries(checked) };
}

/** The store with these plans of one adapter beside, or in place of, those that it has. */
export function withPlans(
  store: TunedPlans,
  adapter: string,
  plans: Readonly<Record<string, string>>,
): TunedPlans {
  return {
    schemaVersion: 1,
    adapters: { ...store.adapters, [adapter]: { ...store.adapters[adapter], ...plans } },
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(what: string): FormatError {
  return new FormatError({
    code: "TUNED_PLANS_INVALID",
    message: `tuned plans had ${what}`,
    fix: "leave the store out and tune again, with tuneMatmul",
  });
}
