// A small random model for all tests of a file.
import type { Device } from "@latentkit/tensor";
import { afterAll, afterEach, beforeEach, expect } from "vitest";
import type { ModelConfig } from "../config.ts";
import type { LanguageModel } from "../language-model.ts";
import { randomModel } from "../random-model.ts";
import { referenceDevice } from "./support.ts";

/** Two layers of 12 features. */
const small = {
  layers: 2,
  dModel: 12,
  heads: 2,
  kvHeads: 1,
  dHead: 6,
  dMlp: 8,
  vocabulary: 20,
  contextSize: 12,
} as const;

/** Three layers of 20 features, four heads over two. */
export const threeLayers = {
  layers: 3,
  dModel: 20,
  heads: 4,
  kvHeads: 2,
  dHead: 6,
  dMlp: 28,
  vocabulary: 40,
  contextSize: 24,
} as const;

/**
 * Makes a model on a device of its own for the file that calls it, and frees both after its tests. Each test has to leave as many bytes on
 * the device as it found.
 */
export function smallModel({ seed = 1, config = {} }: { seed?: number; config?: Partial<ModelConfig> } = {}): {
  readonly device: Device;
  readonly model: LanguageModel;
} {
  const device = referenceDevice();
  const model = randomModel({ device, seed, config: { ...small, ...config } });
  let found = 0;
  beforeEach(() => {
    found = device.memory().liveBytes;
  });
  afterEach(() => expect(device.memory().liveBytes).toBe(found));
  // Hooks of the file itself come first.
  afterAll(() => {
    model.dispose();
    expect(device.memory().liveBytes).toBe(0);
    device.dispose();
  });
  return { device, model };
}
