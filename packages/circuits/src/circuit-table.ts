import type { Interval } from "@latentkit/sae";
import { nodeLabel } from "./circuit-node.ts";
import type { Circuit } from "./circuit.ts";
import type { CircuitEvaluation, CircuitShare } from "./evaluate-circuit.ts";
import { markdownTable, withInterval } from "./markdown-table.ts";

/** A circuit's nodes as a Markdown table, the largest effect first. */
export function nodeTable({ nodes }: Pick<Circuit, "nodes">): string {
  return markdownTable(
    ["node", "effect", "95% interval", "activation"],
    nodes.map((node) => [
      nodeLabel(node),
      node.effect.toFixed(4),
      intervalText(node.interval, 4),
      node.activation === null ? "-" : node.activation.toFixed(3),
    ]),
  );
}

/** Its edges, those to one node together. */
export function edgeTable({ edges }: Pick<Circuit, "edges">): string {
  return markdownTable(
    ["from", "to", "effect"],
    edges.map(({ from, to, effect }) => [
      nodeLabel(from),
      to === null ? "metric" : nodeLabel(to),
      effect.toFixed(4),
    ]),
  );
}

/** What was measured by ablation. */
export function evaluationTable(evaluation: CircuitEvaluation): string {
  const { metric, faithfulness, completeness, random } = evaluation;
  const share = (given: CircuitShare | null): string =>
    given === null ? "-" : withInterval(given.value, given.interval, 3);
  const largest = random.at(-1);
  return markdownTable(
    ["measure", "value"],
    [
      ["nodes", String(evaluation.nodes)],
      ["prompts", String(evaluation.prompts)],
      ["m(M), the model", metric.model.toFixed(4)],
      ["m(0), all nodes ablated", metric.empty.toFixed(4)],
      ["m(C), all but the circuit ablated", metric.circuit.toFixed(4)],
      ["m(M \\ C), the circuit ablated", metric.complement.toFixed(4)],
      ["faithfulness", share(faithfulness)],
      ["completeness", share(completeness)],
      ...(largest === undefined
        ? []
        : [[`faithfulness of ${random.length} random circuits, at most`, largest.toFixed(3)]]),
    ],
  );
}

function intervalText(interval: Interval | null, digits: number): string {
  if (interval === null) return "-";
  return `${interval[0].toFixed(digits)} to ${interval[1].toFixed(digits)}`;
}
