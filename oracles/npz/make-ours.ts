// Archives that we write, for check_numpy_reads.py to show to numpy; the tests check that the bytes are still these.
//
//     node --conditions=@latentkit/source --import tsx oracles/npz/make-ours.ts
import { writeFileAtomic } from "@latentkit/loaders/node";
import { encodeNpz } from "@latentkit/loaders";
import { fileURLToPath } from "node:url";
import { exampleArrays } from "../../packages/loaders/src/npz/__fixtures__/example-arrays.ts";

const target = new URL("../../packages/loaders/src/npz/__fixtures__/ours.npz", import.meta.url);
await writeFileAtomic(fileURLToPath(target), encodeNpz(exampleArrays()));
