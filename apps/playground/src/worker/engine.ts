import { DeviceError } from "@latentkit/core";
import { openDevice, type OpenedDevice } from "@latentkit/device";
import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import { fetchTiny, loadTiny, loadTinySae } from "@latentkit/tiny";
import type { Question, Reading } from "../protocol.ts";
import { readText } from "./read-text.ts";

/** Says what takes a while. */
export type Say = (doing: string) => void;

/** A device with the model and the SAEs that were asked for so far. */
interface Loaded {
  readonly asked: Question["device"];
  readonly data: string;
  readonly opened: OpenedDevice;
  readonly model: LanguageModel;
  readonly saes: Map<number, Sae>;
}

/** Answers questions about texts, and keeps what it has loaded for the next one. One question at a time. */
export class Engine {
  #loaded: Loaded | null = null;

  /**
   * Opens the device, fetches model and SAE where that has not been done, and reads the text.
   *
   * @throws what `openDevice`, `loadTiny`, `loadTinySae` and `LanguageModel.run` throw; after a `DeviceError` the next question opens
   *   the device anew
   */
  async read(question: Question, say: Say): Promise<Reading> {
    try {
      const loaded = await this.#load(question, say);
      const sae = await this.#sae(loaded, question, say);
      say("Reading the text");
      const start = performance.now();
      const read = await readText(loaded.model, sae, question);
      const { chosen, why, declined } = loaded.opened.report;
      const engine = loaded.opened.device.info.matmul;
      return {
        ...read,
        device: { chosen, why, engine, declined: [...declined] },
        milliseconds: performance.now() - start,
      };
    } catch (error) {
      if (error instanceof DeviceError) this.#release();
      throw error;
    }
  }

  async #load({ device: asked, data }: Question, say: Say): Promise<Loaded> {
    if (this.#loaded?.asked === asked && this.#loaded.data === data) return this.#loaded;
    this.#release();
    say("Opening the device");
    const opened = await openDevice(asked);
    try {
      say("Fetching the model, 11 MB");
      const model = await loadTiny({ device: opened.device, read: fetchTiny(data) });
      this.#loaded = { asked, data, opened, model, saes: new Map() };
      return this.#loaded;
    } catch (error) {
      // With all that is on it.
      opened.device.dispose();
      throw error;
    }
  }

  async #sae({ opened, saes, data }: Loaded, { layer }: Question, say: Say): Promise<Sae> {
    const known = saes.get(layer);
    if (known !== undefined) return known;
    say(`Fetching the SAE of layer ${layer}, 2 MB`);
    const sae = await loadTinySae({ device: opened.device, layer, read: fetchTiny(data) });
    saes.set(layer, sae);
    return sae;
  }

  #release(): void {
    this.#loaded?.opened.device.dispose();
    this.#loaded = null;
  }
}
