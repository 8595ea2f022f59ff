import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import type { EntityTable } from "./types.ts";

/** Parses what a caller passed; `where` names the function for the message. */
export function parseOptions<T>(schema: z.ZodType<T>, input: unknown, where: string): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ConfigError({
    code: "WORLD_OPTIONS",
    message: `${where}: ${issue?.path.join(".") || "options"}: ${issue?.message ?? "not valid"}`,
    fix: "pass options as the function's documentation describes them",
  });
}

/** A seed: any safe integer. */
export const seedSchema: z.ZodType<number> = z.int();

/** A share or probability. */
export const shareSchema: z.ZodType<number> = z.number().min(0).max(1);

/** A table, as `entities` makes it. */
export const tableSchema: z.ZodType<EntityTable> = z.custom<EntityTable>(
  (value) =>
    typeof value === "object" && value !== null && "of" in value && typeof value.of === "function",
  "must be made by entities()",
);
