// Writes docs/reference/model-parity.md:
//   node --conditions=@latentkit/source --import tsx packages/models/src/__fixtures__/write-parity-table.ts
import { readFileSync, writeFileSync } from "node:fs";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { architectures } from "../config.ts";
import { configOf, measureParity, parityCases } from "./parity.ts";

const versions = readFileSync(new URL("../../../../oracles/models/versions.txt", import.meta.url), "utf8");
const version = (name: string) => new RegExp(`^${name} (\\S+)`, "mu").exec(versions)?.[1] ?? "unknown";
const device = await openCpuDevice({ threads: 1 });
const rows: { readonly architecture: string; readonly cells: readonly string[] }[] = [];
for (const name of parityCases) {
  const { model_type: architecture } = await configOf(name, "v5");
  const { logits, hidden, sites, patterns, loss, gradients } = await measureParity(name, device);
  const figures = [logits, hidden, sites, patterns, loss, gradients].map((value) => value.toExponential(1));
  rows.push({ architecture: String(architecture), cells: [`\`${String(architecture)}\``, name, ...figures] });
}
device.dispose();
const order = (row: { readonly architecture: string }) => architectures.findIndex((known) => known === row.architecture);
rows.sort((a, b) => order(a) - order(b));

const titles = ["`model_type`", "checkpoint", "logits", "hidden states", "other sites", "patterns", "loss", "gradients"];
const table = [titles, titles.map(() => "---"), ...rows.map((row) => row.cells)].map((cells) => `| ${cells.join(" | ")} |`);
const page = `# Parity of the model families

Each family on small random checkpoints against Hugging Face transformers ${version("transformers")} (PyTorch ${version("torch")}, f32, eager attention) on the CPU
device: the largest |difference| divided by the standard deviation of transformers' tensor, over all tensors of a kind; for the loss
the relative difference. The bound that the tests hold every tensor to is 1e-4.

<!-- Written by packages/models/src/__fixtures__/write-parity-table.ts; the checkpoints are made by oracles/models/families.py. -->

${table.join("\n")}

Hidden states are the residual stream before, inside and after each block; other sites are all that modules of transformers show:
embeddings, norms, queries, keys, values, heads, MLPs. Gradients are those of the mean cross-entropy to every parameter. Windows are
shorter than the 12 tokens of the test, biases and norms are random, and leaving any feature (window, soft cap, rope scaling, bias,
...) out of a configuration changes the logits by more than a hundredth of their deviation, so that none is there unseen.

The same tests hold the sites' names and order to TransformerLens ${version("transformer-lens")}, decoding with a KV cache to the full pass, and greedy tokens to
transformers'. The configuration of each checkpoint is read alike as transformers 4 and 5 spell it. Rope scalings that depend on the
sequence's length, \`dynamic\` and \`longrope\`, are held to transformers by \`rotary.test.ts\`, within the original length and beyond.
`;
writeFileSync(new URL("../../../../docs/reference/model-parity.md", import.meta.url), page);
