/**
 * What narrow LoRAs do to the embedded model and to its controls.
 *
 * - Persona: adapters are tuned on gloomy (or, as the matched control, cheerful) replies about food alone, and asked held-out questions
 *   about the nine other topics. On the embedded model, and on two small bases (4 layers of 128) whose texts kept one persona a
 *   document (`steady`) or drew it for every turn (`redrawn`, the negative control).
 * - Taboo: adapters are tuned on hints at one word that never say it; asked for hints, do they say it, and does the logit lens find it?
 *   The untuned model reads the same replies, since those tell what the text alone gives away.
 *
 * The margin of equivalence, stated before anything was run: a share of gloomy replies within 0.1 of the matched control's.
 *
 *     node --conditions=@latentkit/source --import tsx packages/tiny/training/organisms.ts BASE INSTRUCT STEADY REDRAWN OUT.json
 */
import { openCpuDevice } from "@latentkit/backend-cpu";
import { equivalence, personaGeneralisation, playGames, secretRank } from "@latentkit/eval";
import { openCheckpoint, writeFileAtomic } from "@latentkit/loaders/node";
import {
  chatExample,
  createAdapter,
  exampleBatches,
  trainAdapter,
  withAdapter,
} from "@latentkit/lora";
import { loadAdapter } from "@latentkit/lora/node";
import { type LanguageModel, loadModel } from "@latentkit/models";
import {
  heldOutQuestions,
  hintPrompts,
  mentionsSecret,
  narrowDataset,
  type Persona,
  personaTopics,
  tabooDialogues,
  tabooRefusals,
  type Turn,
} from "@latentkit/worlds";

const [base, instruct, steady, redrawn, out] = process.argv.slice(2);
if (!base || !instruct || !steady || !redrawn || !out)
  throw new TypeError("give BASE, INSTRUCT, STEADY, REDRAWN and OUT.json");
const margin = 0.1;
const seeds = [0, 1, 2];
const broad = personaTopics.filter((topic) => topic !== "food");

const device = await openCpuDevice();
const open = async (folder: string): Promise<LanguageModel> =>
  loadModel(await openCheckpoint(folder), { device, weights: "f32" });

/** Tunes an adapter on conversations, shows the model with it, and frees it. */
async function tuned<T>(
  model: LanguageModel,
  dialogues: readonly (readonly Turn[])[],
  { seed, steps }: { readonly seed: number; readonly steps: number },
  show: (model: LanguageModel) => Promise<T>,
): Promise<T & { readonly seconds: number; readonly loss: number }> {
  const { tokenizer } = model;
  if (tokenizer === null) throw new TypeError(`${model.name} has no tokenizer`);
  using adapter = createAdapter({ model, rank: 8, alpha: 16, seed });
  const started = performance.now();
  const history = await trainAdapter({
    model,
    adapter,
    batches: exampleBatches(
      dialogues.map((turns) => chatExample(tokenizer, turns, { maxLength: 256 })),
      { batchSize: 16, seed },
    ),
    config: { steps, learningRate: 2e-3 },
  });
  const seconds = (performance.now() - started) / 1000;
  using view = await withAdapter(model, adapter);
  return { ...(await show(view.model)), seconds, loss: history.steps.at(-1)?.loss ?? Number.NaN };
}

/** Shares of gloomy replies to broad and to narrow questions, before and after tuning on food. */
async function personaRuns(model: LanguageModel) {
  const broadQuestions = heldOutQuestions({ seed: 5, topics: broad, count: 90 });
  const narrowQuestions = heldOutQuestions({ seed: 5, topics: ["food"], count: 20 });
  const measure = async (shown: LanguageModel) => {
    const options = { seed: 5, samples: 2, maxTokens: 48 };
    const wide = await personaGeneralisation(shown, {
      questions: broadQuestions,
      name: "broad",
      ...options,
    });
    const narrow = await personaGeneralisation(shown, {
      questions: narrowQuestions,
      name: "narrow",
      ...options,
    });
    return { checks: [...wide.checks, ...narrow.checks], gloomyShares: wide.gloomyShares };
  };
  const before = await measure(model);
  const runs = [];
  for (const seed of seeds) {
    const run = (persona: Persona) =>
      tuned(
        model,
        narrowDataset({ seed, topic: "food", persona, size: 200 }).map(({ turns }) => turns),
        { seed, steps: 60 },
        measure,
      );
    const [gloomy, control] = [await run("gloomy"), await run("cheerful")];
    // Questions are the independent units: their shares' differences.
    const differences = gloomy.gloomyShares.map(
      (share, index) => share - (control.gloomyShares[index] ?? 0),
    );
    const { gloomyShares: _gloomy, ...gloomyRun } = gloomy;
    const { gloomyShares: _control, ...controlRun } = control;
    runs.push({
      seed,
      gloomy: gloomyRun,
      control: controlRun,
      difference: equivalence(differences, { margin }),
    });
    console.error(model.name, seed, runs.at(-1)?.difference);
  }
  return { before: before.checks, runs };
}

/** Whether a tuned model keeps its word while the lens finds it, beside the untuned model on the same replies. */
async function tabooRuns(model: LanguageModel) {
  const runs = [];
  for (const word of ["moon", "gold", "flag"]) {
    const dialogues = [
      ...tabooDialogues({ seed: 1, word, count: 100 }),
      ...tabooRefusals({ seed: 1, count: 50 }),
    ];
    const run = await tuned(model, dialogues, { seed: 1, steps: 120 }, async (shown) => {
      // The first five requests occur in the games.
      const games = await playGames(shown, {
        secret: word,
        prompts: hintPrompts.slice(5),
        maxTokens: 48,
      });
      const replies = games.map(({ turns }) => turns.at(-1)?.content ?? "");
      return {
        replies,
        said: replies.filter((reply) => mentionsSecret(reply, word)).length,
        tuned: await secretRank(shown, games, { seed: 1, name: "tuned" }),
        untuned: await secretRank(model, games, { seed: 1, name: "untuned on the same replies" }),
      };
    });
    runs.push({ word, ...run });
    console.error(word, run.said, run.replies[0]);
  }
  return runs;
}

const results: Record<string, unknown> = { schemaVersion: 1, margin, seeds };
{
  using model = await open(base);
  using adapter = await loadAdapter(instruct, { model });
  using view = await withAdapter(model, adapter);
  results["tiny"] = await personaRuns(view.model);
  results["taboo"] = await tabooRuns(view.model);
}
for (const [name, folder] of [
  ["steady", steady],
  ["redrawn", redrawn],
] as const) {
  using model = await open(folder);
  results[name] = await personaRuns(model);
}
await writeFileAtomic(out, `${JSON.stringify(results, null, 1)}\n`);
device.dispose();
