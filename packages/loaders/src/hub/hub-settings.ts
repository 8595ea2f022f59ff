import { ConfigError } from "@latentkit/core";
import { z } from "zod";

/** Where the hub and its cache are, from the environment variables of Python's `huggingface_hub`. */
export interface HubSettings {
  /** `HF_ENDPOINT`, without a slash at its end. */
  readonly endpoint: string;
  /** `HF_HUB_CACHE`, or `hub` in `HF_HOME`. */
  readonly cache: string;
  /** `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: nothing but the cache is used. */
  readonly offline: boolean;
  /** `HF_TOKEN`; undefined where the token file is to be read, null where no token may be sent. */
  readonly token: string | null | undefined;
  /** `HF_TOKEN_PATH`, or `token` in `HF_HOME`. */
  readonly tokenPath: string;
  /** `HF_HUB_DOWNLOAD_TIMEOUT` in milliseconds: how long the server may say nothing. */
  readonly stallMs: number | undefined;
}

/** The variables that are read. An empty one is none. */
export type Environment = Readonly<Record<string, string | undefined>>;

const seconds = z.coerce.number().positive().max(86_400);
const isTrue = (text: string | undefined): boolean =>
  ["1", "ON", "YES", "TRUE"].includes((text ?? "").toUpperCase());

/**
 * Reads the settings as `huggingface_hub` does. Paths may begin with `~`.
 *
 * Throws {@link ConfigError} `HUB_ENDPOINT`, `HUB_TOKEN_FORM`, `HUB_TIMEOUT`.
 *
 * @param home the user's home folder
 * @param join joins a folder and a name, as the system does
 */
export function hubSettings(
  env: Environment,
  home: string,
  join: (folder: string, name: string) => string,
): HubSettings {
  const get = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  const path = (text: string): string =>
    text === "~" ? home : /^~[/\\]/.test(text) ? join(home, text.slice(2)) : text;
  const cacheHome = path(get("XDG_CACHE_HOME") ?? join(home, ".cache"));
  const hfHome = path(get("HF_HOME") ?? join(cacheHome, "huggingface"));
  const timeout = get("HF_HUB_DOWNLOAD_TIMEOUT");
  return {
    endpoint: endpointOf(get("HF_ENDPOINT") ?? "https://huggingface.co"),
    cache: path(get("HF_HUB_CACHE") ?? get("HUGGINGFACE_HUB_CACHE") ?? join(hfHome, "hub")),
    offline: isTrue(get("HF_HUB_OFFLINE") ?? get("TRANSFORMERS_OFFLINE")),
    token: isTrue(get("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
      ? null
      : cleanToken(get("HF_TOKEN") ?? get("HUGGING_FACE_HUB_TOKEN"), "HF_TOKEN"),
    tokenPath: path(get("HF_TOKEN_PATH") ?? join(hfHome, "token")),
    stallMs: timeout === undefined ? undefined : timeoutOf(timeout),
  };
}

/** A token without the white space around it, or undefined for an empty one. Throws {@link ConfigError} `HUB_TOKEN_FORM`. */
export function cleanToken(text: string | undefined, where: string): string | undefined {
  const token = text?.trim();
  if (token === undefined || token === "") return undefined;
  if (/^[\u0021-\u007e]+$/.test(token)) return token;
  throw new ConfigError({
    code: "HUB_TOKEN_FORM",
    message: "the token has characters that no token has",
    fix: "copy it again: it begins with hf_ and has letters and digits only",
    where,
  });
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === "")
    return text.replace(/\/+$/, "");
  throw new ConfigError({
    code: "HUB_ENDPOINT",
    message: `HF_ENDPOINT is "${text}"; an http(s) address was expected`,
    fix: "set it to the address of a hub, for example https://huggingface.co, or unset it",
    where: "HF_ENDPOINT",
  });
}

function timeoutOf(text: string): number {
  const parsed = seconds.safeParse(text);
  if (parsed.success) return parsed.data * 1000;
  throw new ConfigError({
    code: "HUB_TIMEOUT",
    message: `HF_HUB_DOWNLOAD_TIMEOUT is "${text}"; a number of seconds above 0 was expected`,
    fix: "set it to a number such as 30, or unset it",
    where: "HF_HUB_DOWNLOAD_TIMEOUT",
  });
}
