import { LatentkitError, MismatchError } from "@latentkit/core";
import { readJson, writeFileAtomic } from "@latentkit/loaders/node";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { differences, hashJson, jsonText } from "./json.ts";

/** A file that a job made. */
export interface JobOutput {
  /** From the suite's folder, with `/`. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** `job.json`: that a job is done, from what, and what it left. */
export interface JobRecord {
  readonly schemaVersion: 1;
  readonly id: string;
  /** Hash of `inputs`. */
  readonly inputsSha256: string;
  readonly inputs: unknown;
  readonly outputs: readonly JobOutput[];
}

/** Written last: a job whose folder has one is complete. */
const recordFile = "job.json";
/** Written first, so that a job that was stopped is not gone on with from other inputs. */
const startedFile = "started.json";

/** A path that stays inside the folder. */
const insidePath = z
  .string()
  .regex(/^[\w.-]+(?:\/[\w.-]+)*$/u, "expected a relative path")
  .refine((path) => !path.split("/").includes(".."), "expected a path inside the folder");

/** Schema of {@link JobRecord}. */
export const jobRecordSchema: z.ZodType<JobRecord> = z.object({
  schemaVersion: z.literal(1),
  id: z.string(),
  inputsSha256: z.string(),
  inputs: z.unknown(),
  outputs: z.array(z.object({ path: insidePath, bytes: z.int(), sha256: z.string() })),
});

const startedSchema = z.object({
  schemaVersion: z.literal(1),
  id: z.string(),
  inputs: z.unknown(),
});

/** A job's folder and records in the folder of a suite. */
export class JobFolder {
  readonly #out: string;
  readonly #id: string;
  readonly #inputs: unknown;

  /** @param inputs as {@link inputsOf} gives them */
  constructor(out: string, id: string, inputs: unknown) {
    this.#out = out;
    this.#id = id;
    this.#inputs = inputs;
  }

  /** `jobs/ID`, from the suite's folder. */
  get name(): string {
    return `jobs/${this.#id}`;
  }

  /** The folder's path. */
  get path(): string {
    return join(this.#out, ...this.name.split("/"));
  }

  /** The record, where the job is done from these inputs and its files are what they were; else null. */
  async finished(): Promise<JobRecord | null> {
    const record = await this.record();
    if (record === null || this.#changes(record.inputs) !== "") return null;
    for (const { path, sha256 } of record.outputs)
      if ((await hashOf(this.#out, path))?.sha256 !== sha256) return null;
    // A kill right after the record was written leaves the note of the beginning behind.
    await rm(join(this.path, startedFile), { force: true });
    return record;
  }

  /** The record, whatever it is of. */
  async record(): Promise<JobRecord | null> {
    return ifThere(join(this.path, recordFile), jobRecordSchema);
  }

  /**
   * Looks whether what is here was made from these inputs.
   *
   * @returns true where it was not, and `redo` allowed to remove it
   * @throws MismatchError `SUITE_JOB_DIFFERS`, naming the fields
   */
  async clearOther(redo: boolean): Promise<boolean> {
    const record = await this.record();
    const before = record ?? (await ifThere(join(this.path, startedFile), startedSchema));
    const changes = before === null ? "" : this.#changes(before.inputs);
    if (changes === "") return false;
    if (!redo) {
      throw new MismatchError({
        code: "SUITE_JOB_DIFFERS",
        message: `the job ${this.#id} was ${record === null ? "begun" : "done"} from other inputs: ${changes}`,
        fix: "use a new --out folder, go back to the old inputs, or give --redo to do such jobs again",
        where: this.path,
      });
    }
    for (const { path } of record?.outputs ?? []) await rm(join(this.#out, path), { force: true });
    await rm(this.path, { recursive: true, force: true });
    return true;
  }

  /** Says that the job is begun. */
  async begin(): Promise<void> {
    await mkdir(this.path, { recursive: true });
    await rm(join(this.path, recordFile), { force: true });
    const started = { schemaVersion: 1, id: this.#id, inputs: this.#inputs };
    await writeFileAtomic(join(this.path, startedFile), jsonText(started));
  }

  /** Says that the job is done. @param paths of files, from the suite's folder */
  async finish(paths: readonly string[]): Promise<void> {
    const outputs: JobOutput[] = [];
    for (const path of paths.toSorted()) {
      const hashed = await hashOf(this.#out, path);
      if (hashed !== null) outputs.push({ path, ...hashed });
    }
    const record: JobRecord = {
      schemaVersion: 1,
      id: this.#id,
      inputsSha256: hashJson(this.#inputs),
      inputs: this.#inputs,
      outputs,
    };
    await writeFileAtomic(join(this.path, recordFile), jsonText(record));
    await rm(join(this.path, startedFile), { force: true });
  }

  /** The fields in which other inputs differ from these, in words; empty for none. */
  #changes(before: unknown): string {
    return differences(before, this.#inputs)
      .map(
        ({ field, before: was, now }) =>
          `${field} was ${JSON.stringify(was) ?? "not there"} and is ${JSON.stringify(now) ?? "not there"}`,
      )
      .join("; ");
  }
}

async function hashOf(out: string, path: string): Promise<Omit<JobOutput, "path"> | null> {
  const bytes = await readFile(join(out, path)).catch(() => null);
  if (bytes === null) return null;
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

async function ifThere<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  return readJson(path, schema).catch((error: unknown) => {
    if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
    throw error;
  });
}
