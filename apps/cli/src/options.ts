import { ConfigError } from "@latentkit/core";
import type { Command } from "commander";
import { z } from "zod";

/** Flags that every command has, as commander leaves them. */
export const commonSchema = {
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
  seed: z.coerce.number().int().nonnegative().max(0xffff_ffff).default(0),
};

/** A whole number above zero, from a flag's text. */
export const count: z.ZodCoercedNumber = z.coerce.number().int().positive();

/** A port, from a flag's text; 0 takes any that is free. */
export const port: z.ZodCoercedNumber = z.coerce.number().int().min(0).max(65_535);

/** Adds the flags that every command has. */
export function withCommonOptions(command: Command): Command {
  return command
    .option("--json", "print the result as JSON on stdout")
    .option("--quiet", "no progress on stderr")
    .option("--seed <n>", "seed of everything random (default: 0)");
}

/** Parses a command's flags; a flag that does not fit is named as it is typed. Throws `ConfigError` `USAGE_OPTION`. */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  raw: unknown,
): z.infer<Schema> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const flag = flagOf(issue?.path[0]);
  throw new ConfigError({
    code: "USAGE_OPTION",
    message: `${flag} does not fit: ${issue?.message ?? "unknown"}`,
    fix: "see the flag in the command's --help",
    where: flag,
  });
}

/** `maxTokens` as the user typed it: `--max-tokens`. */
function flagOf(key: PropertyKey | undefined): string {
  return `--${String(key ?? "").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `"1,2,3;4,5,6"` to rows of token ids. Throws `ConfigError` `USAGE_TOKENS`. */
export function parseTokenRows(text: string): number[][] {
  const rows = text
    .split(";")
    .map((row) => row.split(",").map((id) => (/^\s*\d+\s*$/.test(id) ? Number(id) : Number.NaN)));
  if (rows.every((row) => row.every((id) => Number.isSafeInteger(id)))) return rows;
  throw new ConfigError({
    code: "USAGE_TOKENS",
    message: `--tokens "${text}" is not rows of token ids`,
    fix: 'write ids with commas and rows with semicolons, as in --tokens "1,2,3;4,5,6"',
    where: "--tokens",
  });
}
