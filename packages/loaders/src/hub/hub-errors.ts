import { IoError } from "@latentkit/core";
import type { HttpFault } from "./http-fault.ts";
import type { HubReference } from "./hub-reference.ts";

/** What the explanation depends on, beside the fault. */
export interface HubErrorContext {
  readonly endpoint: string;
  readonly hasToken: boolean;
  /** The file that was asked for, if any. */
  readonly file?: string | undefined;
}

/**
 * What a refusal of the hub means and what to do about it, from its status, `X-Error-Code` and `X-Error-Message`. A missing
 * repository and a private one look the same to a stranger: the hub answers 401 to both.
 */
export function explainHubFault(
  fault: HttpFault,
  reference: HubReference,
  context: HubErrorContext,
): IoError {
  const { status, errorCode, errorMessage, error } = fault.details;
  const { repo, revision } = reference;
  const { endpoint, hasToken } = context;
  const details = { where: `${repo}@${revision}`, cause: error };
  const logIn = `set HF_TOKEN to a token of ${endpoint}/settings/tokens, or log in with Python's \`hf auth login\``;
  if (errorCode === "GatedRepo") {
    const said = errorMessage === undefined ? "" : ` (the hub says: ${errorMessage.slice(0, 300)})`;
    return new IoError({
      ...details,
      code: "HUB_GATED",
      message: `${repo} is gated: its files are given only to those who have accepted its terms${said}`,
      fix: `accept the terms at ${endpoint}/${repo}, then ${hasToken ? "use a token of the same account that may read gated repositories" : logIn}`,
    });
  }
  if (errorCode === "RevisionNotFound") {
    return new IoError({
      ...details,
      code: "HUB_REVISION_MISSING",
      message: `${repo} has no branch, tag or commit "${revision}"`,
      fix: `see the revisions at ${endpoint}/${repo}/tree/main, or leave @${revision} out for main`,
    });
  }
  if (errorCode === "EntryNotFound") {
    return new IoError({
      ...details,
      code: "HUB_FILE_MISSING",
      message: `${repo} has no file "${context.file ?? ""}" at ${revision}`,
      fix: `see its files at ${endpoint}/${repo}/tree/${revision}`,
    });
  }
  if (errorMessage === "Access to this resource is disabled.") {
    return new IoError({
      ...details,
      code: "HUB_DISABLED",
      message: `access to ${repo} has been disabled by the hub`,
      fix: "use another model",
    });
  }
  if (errorMessage === "Invalid credentials in Authorization header") {
    return new IoError({
      ...details,
      code: "HUB_TOKEN",
      message: "the hub does not know the token",
      fix: `${logIn}; or unset HF_TOKEN for a public model`,
    });
  }
  if (errorCode === "RepoNotFound" || status === 401 || status === 404) {
    return new IoError({
      ...details,
      code: "HUB_REPO_MISSING",
      message: `there is no model ${repo} at ${endpoint}, or it is private and ${hasToken ? "the token may not read it" : "no token was given"}; nor is there such a folder here`,
      fix: hasToken
        ? "check the spelling, and that the token may read it"
        : `check the spelling; for a private model, ${logIn}`,
    });
  }
  if (status === 403) {
    return new IoError({
      ...details,
      code: "HUB_DENIED",
      message: `the hub does not give ${repo}${errorMessage === undefined ? "" : `: ${errorMessage.slice(0, 300)}`}`,
      fix: hasToken ? "use a token that may read it" : logIn,
    });
  }
  return error;
}
