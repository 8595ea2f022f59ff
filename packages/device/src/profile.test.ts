import { createReferenceBackend, Device } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { profileDevice } from "./profile.ts";

describe("profileDevice", () => {
  it("refuses a device that has no such clock, before it works", async () => {
    using device = new Device(createReferenceBackend());
    let worked = false;
    const profile = profileDevice(device, () => {
      worked = true;
    });
    await expect(profile).rejects.toMatchObject({ code: "NOT_WEBGPU" });
    expect(worked).toBe(false);
  });
});
