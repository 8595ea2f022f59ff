import { Device } from "../device.ts";
import { kernelSuite } from "../testing/kernel-suite.ts";
import { createReferenceBackend } from "./backend.ts";

// Against itself the comparison is void, but the closed forms, identities and leak checks of the suite are not.
kernelSuite("reference", () => new Device(createReferenceBackend()));
