import { blockSite, type LanguageModel } from "@latentkit/models";
import { add, div, expand, mul, slice, type Tensor } from "@latentkit/tensor";
import { capturedAt, layersOf } from "./captured.ts";
import { lastResidual, streamDepth } from "./residual-sites.ts";

/** Something that is added to the residual stream. */
export interface ResidualComponent {
  readonly kind: "embed" | "pos_embed" | "attn_out" | "head" | "attn_bias" | "mlp_out";
  /** As TransformerLens writes it: `embed`, `pos_embed`, `0_attn_out`, `0_mlp_out`, `L0H3`; and `0_attn_bias`. */
  readonly label: string;
  /** Null for embeddings. */
  readonly layer: number | null;
  /** Of a head; else null. */
  readonly head: number | null;
}

/** A component with what it adds, `[batch, pos, d_model]`. */
export interface ComponentValue {
  readonly component: ResidualComponent;
  readonly value: Tensor;
}

/** Which components there are. */
export interface ComponentOptions {
  /** A residual site: the components are those that it is the sum of. The last `hook_resid_post` if left out. */
  readonly at?: string | undefined;
  /** Whether heads stand in place of each `attn_out`, with the bias of their projection as a component of its own. */
  readonly heads?: boolean | undefined;
}

/** The sites that {@link componentValues} needs captured. @throws ConfigError `SITE_UNKNOWN`, `ANALYSIS_SITE` */
export function componentSites(model: LanguageModel, options: ComponentOptions): string[] {
  const { attention, mlp } = depthOf(model, options);
  const layers = layersOf(model);
  return [
    "hook_embed",
    ...(hasPositions(model) ? ["hook_pos_embed"] : []),
    ...layers.slice(0, attention).flatMap((layer) => {
      if (options.heads !== true) return [blockSite(layer, "hook_attn_out")];
      const { norm } = model.attentionOutput(layer);
      const z = blockSite(layer, "attn.hook_z");
      return norm === null ? [z] : [z, blockSite(layer, norm.scaleSite)];
    }),
    ...layers.slice(0, mlp).map((layer) => blockSite(layer, "hook_mlp_out")),
  ];
}

/**
 * What each component adds to the stream, from captured values, all cut alike if at all. Call it inside a scope: the values of heads
 * are new tensors, the others those that were captured.
 */
export function componentValues(
  model: LanguageModel,
  captured: ReadonlyMap<string, Tensor>,
  options: ComponentOptions,
): ComponentValue[] {
  const { attention, mlp } = depthOf(model, options);
  const one = (
    kind: ResidualComponent["kind"],
    layer: number | null,
    site: string,
  ): ComponentValue => ({
    component: { kind, label: layer === null ? kind : `${layer}_${kind}`, layer, head: null },
    value: capturedAt(captured, site),
  });
  return [
    one("embed", null, "hook_embed"),
    ...(hasPositions(model) ? [one("pos_embed", null, "hook_pos_embed")] : []),
    ...layersOf(model).flatMap((layer) => [
      ...(layer >= attention
        ? []
        : options.heads === true
          ? headValues(model, layer, captured)
          : [one("attn_out", layer, blockSite(layer, "hook_attn_out"))]),
      ...(layer < mlp ? [one("mlp_out", layer, blockSite(layer, "hook_mlp_out"))] : []),
    ]),
  ];
}

/** The heads of a layer, through the norm after them with its scale as it was, and the projection's bias. */
function headValues(
  model: LanguageModel,
  layer: number,
  captured: ReadonlyMap<string, Tensor>,
): ComponentValue[] {
  const z = capturedAt(captured, blockSite(layer, "attn.hook_z"));
  const outputs = model.headResults(layer, z);
  const [batch = 0, length = 0, heads = 0, dModel = 0] = outputs.shape;
  const { bias, norm } = model.attentionOutput(layer);
  const added = (value: Tensor): Tensor => {
    if (norm === null) return value;
    const { weight } = norm;
    const scale = capturedAt(captured, blockSite(layer, norm.scaleSite));
    return mul(div(value, scale), norm.offset === 0 ? weight : add(weight, norm.offset));
  };
  const byHead = Array.from({ length: heads }, (_, head) => ({
    component: { kind: "head", label: `L${layer}H${head}`, layer, head } as const,
    value: added(
      slice(outputs, { axis: 2, start: head, end: head + 1 }).reshape([batch, length, dModel]),
    ),
  }));
  if (bias === null) return byHead;
  const component = {
    kind: "attn_bias",
    label: `${layer}_attn_bias`,
    layer,
    head: null,
  } as const;
  return [...byHead, { component, value: added(expand(bias, [batch, length, dModel])) }];
}

/** How many layers' attention and MLPs went into the site. */
function depthOf(model: LanguageModel, { at }: ComponentOptions) {
  return streamDepth(model, at ?? lastResidual(model));
}

function hasPositions(model: LanguageModel): boolean {
  return model.sites().some(({ name }) => name === "hook_pos_embed");
}
