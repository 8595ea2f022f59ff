import { FormatError } from "@latentkit/core";
import { z } from "zod";
import { isSafePath } from "./hub-reference.ts";
import type { HubReference } from "./hub-reference.ts";

/** One file of a repository. */
export interface HubFile {
  /** Its path in the repository. Checked: it stays below the folder that it is joined to. */
  readonly path: string;
  /** Bytes, if the hub says so. */
  readonly size: number | undefined;
  /** SHA-256 of a file in large-file storage, if the hub says so. */
  readonly sha256: string | undefined;
}

/** A repository at a commit. */
export interface HubListing {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const size = z.number().int().nonnegative().optional().nullable();
const listingSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/, "must be a commit of 40 hexadecimal digits"),
  siblings: z
    .array(
      z.looseObject({
        rfilename: z.string(),
        size,
        lfs: z
          .looseObject({
            sha256: z
              .string()
              .regex(/^[0-9a-f]{64}$/)
              .optional(),
            size,
          })
          .optional()
          .nullable(),
      }),
    )
    .optional(),
});

/**
 * Parses what `/api/models/ORG/NAME/revision/REVISION?blobs=true` gives.
 *
 * Throws {@link FormatError} `HUB_LISTING` for another form, and `HUB_UNSAFE_PATH` where a file's name leads out of its folder: no
 * honest repository has one.
 */
export function parseListing(json: unknown, reference: HubReference): HubListing {
  const where = `${reference.repo}@${reference.revision}`;
  const parsed = listingSchema.safeParse(json);
  if (!parsed.success) {
    throw new FormatError({
      code: "HUB_LISTING",
      message: `the hub's list of files is not of the expected form: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
      fix: "check HF_ENDPOINT if it is set, and update Latentkit",
      where,
    });
  }
  const { sha, siblings = [] } = parsed.data;
  const files = siblings.map(({ rfilename, size: plain, lfs }) => {
    if (!isSafePath(rfilename)) {
      throw new FormatError({
        code: "HUB_UNSAFE_PATH",
        message: `the repository has a file named ${JSON.stringify(rfilename)}, which would lie outside of its folder`,
        fix: "do not use this repository: such a name is made to overwrite files",
        where,
      });
    }
    return { path: rfilename, size: lfs?.size ?? plain ?? undefined, sha256: lfs?.sha256 };
  });
  return { commit: sha, files };
}
