import type { LongCallOptions } from "@latentkit/core";
import { writeFileAtomic, writeSafetensors } from "@latentkit/loaders/node";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LoraAdapter } from "../adapter.ts";
import { peftConfigOf } from "../peft/peft-config.ts";
import { peftTensors } from "../peft/peft-weights.ts";
import type { AdapterHistory } from "../train/history.ts";
import { files } from "./files.ts";

/** What goes beside the weights. */
export interface SaveAdapterOptions extends Pick<LongCallOptions, "signal"> {
  /** Written as `training.json`. */
  readonly history?: AdapterHistory | undefined;
}

/**
 * Writes `adapter_model.safetensors` and `adapter_config.json`, a folder that PEFT's `PeftModel.from_pretrained` reads unchanged. The
 * same adapter gives the same bytes; the configuration comes last, so that a folder with one is complete.
 *
 * @throws IoError `DISK_FULL`, `FILE_DENIED`; AbortedError
 */
export async function saveAdapter(
  adapter: LoraAdapter,
  folder: string,
  { history, signal }: SaveAdapterOptions = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeSafetensors(
    join(folder, files.weights),
    await peftTensors(adapter),
    { format: "pt" },
    { signal },
  );
  if (history !== undefined)
    await writeFileAtomic(join(folder, files.training), `${JSON.stringify(history, null, 1)}\n`, {
      signal,
    });
  await writeFileAtomic(
    join(folder, files.config),
    `${JSON.stringify(peftConfigOf(adapter), null, 2)}\n`,
    { signal },
  );
}
