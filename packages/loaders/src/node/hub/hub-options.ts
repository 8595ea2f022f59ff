import type { LongCallOptions } from "@latentkit/core";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { HttpOptions } from "../../hub/http-request.ts";
import type { RetryOptions } from "../../hub/retry.ts";
import type { PartialFile } from "./download-blob.ts";
import type { LockOptions } from "./file-lock.ts";
import {
  cleanToken,
  type Environment,
  hubSettings,
  type HubSettings,
} from "../../hub/hub-settings.ts";

/** How a model of the hub, or of another web server, is reached. */
export interface RemoteOptions extends RetryOptions, LongCallOptions {
  /** Variables to read the settings from; those of the process unless given. */
  readonly env?: Environment | undefined;
  /** A server that says nothing for so many milliseconds has stalled; `HF_HUB_DOWNLOAD_TIMEOUT`, or 30,000. */
  readonly stallMs?: number | undefined;
  /** Opens unfinished downloads; for tests. */
  readonly openPartial?: ((path: string) => Promise<PartialFile>) | undefined;
  /** Bytes that are free on the disk of a folder, or null if that is not known; for tests. */
  readonly freeBytes?: ((folder: string) => Promise<number | null>) | undefined;
  /** How locks behave; for tests. */
  readonly lock?: Pick<LockOptions, "staleMs" | "pollMs"> | undefined;
}

/** The settings of the environment, and how to speak to servers under them. Reads the token file if no variable has a token. */
export async function remoteSettings(
  options: RemoteOptions,
): Promise<{ readonly settings: HubSettings; readonly http: HttpOptions }> {
  const settings = hubSettings(options.env ?? process.env, homedir(), join);
  const token = settings.token === undefined ? await tokenFile(settings.tokenPath) : settings.token;
  const { retries, firstDelayMs, longestWaitMs, signal, stallMs = settings.stallMs } = options;
  return {
    settings,
    http: {
      retries,
      firstDelayMs,
      longestWaitMs,
      signal,
      stallMs,
      token: token ?? undefined,
      tokenOrigin: new URL(settings.endpoint).origin,
    },
  };
}

/** The token that `hf auth login` left, if any. */
async function tokenFile(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return cleanToken(text, path);
}
