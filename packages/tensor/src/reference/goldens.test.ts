import { afterEach, describe, expect } from "vitest";
import { Device } from "../device.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { registerMatchers } from "../testing/matchers.ts";
import { goldenSuite } from "../testing/suite/goldens.ts";
import { createReferenceBackend } from "./backend.ts";

registerMatchers(expect);

// The oracle itself, with the tolerances of one rounding to f32.
describe("reference kernels", () => {
  const device = new Device(createReferenceBackend());
  afterEach(() => expectNoLeaks(device));
  goldenSuite({ device, reference: device, wide: device }, 1);
});
