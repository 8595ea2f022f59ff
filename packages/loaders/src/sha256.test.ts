import { fc, test } from "@fast-check/vitest";
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { hashBytes, Sha256 } from "./sha256.ts";

it("gives the digests of FIPS 180-4's examples", () => {
  expect(hashBytes("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(hashBytes("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const million = new Sha256();
  for (let i = 0; i < 1000; i++) million.update("a".repeat(1000));
  expect(million.hex()).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
});

test.prop([fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 })])(
  "gives what Node gives, however the bytes come",
  (pieces) => {
    const ours = new Sha256();
    const nodes = createHash("sha256");
    for (const piece of pieces) {
      ours.update(piece);
      nodes.update(piece);
    }
    expect(ours.hex()).toBe(nodes.digest("hex"));
  },
);
