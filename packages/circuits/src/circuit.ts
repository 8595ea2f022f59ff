import { FormatError } from "@latentkit/core";
import { z } from "zod";
import type { NodePositions } from "./circuit-node.ts";
import type { CircuitEdge } from "./edges.ts";
import type { NodeEffect } from "./rank-nodes.ts";
import type { ErrorTerm } from "./spliced-sites.ts";

/** A site of a circuit. */
export interface CircuitSite {
  readonly site: string;
  /** Number of latents. */
  readonly latents: number;
  /** Hash of what the SAE computes, `Sae.identity()`; null for another codec. */
  readonly sae: string | null;
  /** The site that a transcoder reads; null for the site itself. */
  readonly from: string | null;
}

/** Nodes that make a metric, and what they do through each other. JSON can hold it; {@link parseCircuit} reads that. */
export interface Circuit {
  readonly schemaVersion: 1;
  readonly model: { readonly name: string; readonly weightsHash: string };
  /** In forward order. */
  readonly sites: readonly CircuitSite[];
  /** What became of the SAEs' errors. */
  readonly error: ErrorTerm;
  readonly positions: NodePositions;
  /** Points of integrated gradients; null for the gradient at the clean values. */
  readonly integratedSteps: number | null;
  /** Least effects, signs aside; null for no edges. */
  readonly nodeThreshold: number;
  readonly edgeThreshold: number | null;
  /** Prompts that effects are means over, and their tokens. */
  readonly prompts: number;
  readonly length: number;
  /** The metric of the clean runs, the mean over prompts. */
  readonly metric: number;
  /** The largest effect first. */
  readonly nodes: readonly NodeEffect[];
  readonly edges: readonly CircuitEdge[];
}

const count = z.int().nonnegative();
const interval = z.tuple([z.number(), z.number()]).readonly().nullable();
const node = z.object({
  site: z.string(),
  latent: count.nullable(),
  position: count.nullable(),
});

const schema: z.ZodType<Circuit> = z.object({
  schemaVersion: z.literal(1),
  model: z.object({ name: z.string(), weightsHash: z.string() }),
  sites: z.array(
    z.object({
      site: z.string(),
      latents: count,
      sae: z.string().nullable(),
      from: z.string().nullable(),
    }),
  ),
  error: z.enum(["kept", "node", "none"]),
  positions: z.enum(["each", "together"]),
  integratedSteps: z.int().positive().nullable(),
  nodeThreshold: z.number().nonnegative(),
  edgeThreshold: z.number().nonnegative().nullable(),
  prompts: z.int().positive(),
  length: z.int().positive(),
  metric: z.number(),
  nodes: z.array(node.extend({ effect: z.number(), interval, activation: z.number().nullable() })),
  edges: z.array(z.object({ from: node, to: node.nullable(), effect: z.number() })),
});

/** A circuit that was saved as JSON. @throws FormatError `CIRCUIT_FORMAT` that names the field */
export function parseCircuit(json: unknown, where?: string): Circuit {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FormatError({
    code: "CIRCUIT_FORMAT",
    message: `this is no circuit: ${issue?.path.join(".") || "(whole)"}: ${issue?.message}`,
    fix: "give the JSON of what findCircuit returned, of schemaVersion 1",
    where,
  });
}
