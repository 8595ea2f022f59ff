export { parseCircuit } from "./circuit.ts";
export type { Circuit, CircuitSite } from "./circuit.ts";
export { nodeKey, nodeLabel } from "./circuit-node.ts";
export type { CircuitNode, NodePositions } from "./circuit-node.ts";
export { edgeTable, evaluationTable, nodeTable } from "./circuit-table.ts";
export { latentEdges } from "./edges.ts";
export type { CircuitEdge, LatentEdgesOptions } from "./edges.ts";
export { evaluateCircuit } from "./evaluate-circuit.ts";
export type {
  CircuitEvaluation,
  CircuitShare,
  EvaluateCircuitOptions,
} from "./evaluate-circuit.ts";
export { findCircuit } from "./find-circuit.ts";
export type { FindCircuitOptions } from "./find-circuit.ts";
export { latentAttribution } from "./latent-attribution.ts";
export type {
  EffectOptions,
  LatentAttribution,
  LatentAttributionOptions,
  SiteEffects,
} from "./latent-attribution.ts";
export { latentLogits } from "./latent-logits.ts";
export type { LatentLogits, LatentLogitsOptions, TokenEffect } from "./latent-logits.ts";
export type { Baseline } from "./node-values.ts";
export type { MetricLogits, Prompts, RowMetric } from "./prompts.ts";
export { randomCircuit } from "./random-circuit.ts";
export { rankNodes } from "./rank-nodes.ts";
export type { NodeEffect, RankNodesOptions } from "./rank-nodes.ts";
export { saeTransfer, transferTable } from "./sae-transfer.ts";
export type {
  SaeTransfer,
  SaeTransferOptions,
  TransferFigure,
  TransferFigures,
  TransferSide,
} from "./sae-transfer.ts";
export { latentSite } from "./spliced-sites.ts";
export type { ErrorTerm, LatentSite } from "./spliced-sites.ts";
