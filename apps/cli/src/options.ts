import { ConfigError } from "@latentkit/core";
import type { Command } from "commander";
import { z } from "zod";

/** Flags that every command has, as commander leaves them. */
export const commonSchema = {
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
  seed: z.coerce.number().int().nonnegative().max(0xffff_ffff).default(0),
};

/** `--device`, as commander leaves it; absent where it was not given. */
export const deviceSchema = { device: z.enum(["auto", "cpu", "webgpu"]).optional() };

/** `--profile`, as commander leaves it. */
export const profileSchema = { profile: z.boolean().default(false) };

/** A whole number above zero, from a flag's text. */
export const count: z.ZodCoercedNumber = z.coerce.number().int().positive();

/** A port, from a flag's text; 0 takes any that is free. */
export const port: z.ZodCoercedNumber = z.coerce.number().int().min(0).max(65_535);

/** A flag that several commands have, and not all. */
interface Flag {
  readonly flags: string;
  readonly description: string;
}

/** Where to compute, for `deviceSchema`. */
export const deviceFlag: Flag = {
  flags: "--device <name>",
  description: "auto (a GPU where there is one), cpu or webgpu (default: cpu)",
};

/** For `profileSchema`, beside {@link deviceFlag}. */
export const profileFlag: Flag = {
  flags: "--profile",
  description: "time each kernel by the device's clock; a table on stderr (with --device webgpu)",
};

/** Adds the flags that every command has, behind those of `more`. */
export function withCommonOptions(command: Command, ...more: readonly Flag[]): Command {
  for (const { flags, description } of more) command.option(flags, description);
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
