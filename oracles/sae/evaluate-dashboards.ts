// Makes packages/autointerp/src/__fixtures__/neuronpedia-batch.json, which evaluate_dashboards.py shows to SAEDashboard:
//   node --conditions=@latentkit/source --import tsx oracles/sae/evaluate-dashboards.ts
import { writeFileSync } from "node:fs";
import { openCpuDevice } from "@latentkit/backend-cpu";
import {
  gatherExamples,
  modelTokens,
  neuronpediaBatch,
} from "../../packages/autointerp/src/index.ts";
import {
  contextsOf,
  mask,
  plantedModel,
  plantedSae,
  plantedTexts,
  site,
} from "../../packages/autointerp/src/__fixtures__/planted-latents.ts";

using device = await openCpuDevice();
using model = plantedModel(device);
using sae = await plantedSae(device, model);
const source = modelTokens(model, contextsOf(model.tokenizer, plantedTexts(60)), { site, mask });
const examples = await gatherExamples(sae, source, { windowTokens: 16, top: 3, sample: 8 });
const batch = await neuronpediaBatch({ model, sae, examples, latents: [2, 4] });
const file = new URL(
  "../../packages/autointerp/src/__fixtures__/neuronpedia-batch.json",
  import.meta.url,
);
writeFileSync(file, `${JSON.stringify(batch)}\n`);
