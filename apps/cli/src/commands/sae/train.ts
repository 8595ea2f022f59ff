import { ConfigError } from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import type { Command } from "commander";
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { z } from "zod";
import { openModel } from "../../open-model.ts";
import { openChosenDevice, withProfile } from "../../device.ts";
import {
  commonSchema,
  deviceSchema,
  parseOptions,
  profileSchema,
  withCommonOptions,
  deviceFlag,
  profileFlag,
} from "../../options.ts";
import { printResult } from "../../output.ts";
import { readSaeTrainConfig, type SaeTrainConfig } from "../../sae-train/config.ts";
import {
  openHarvestedSources,
  openLiveSources,
  type OpenSources,
  openShardSources,
} from "../../sae-train/sources.ts";
import {
  claimFolder,
  planTrainings,
  trainAll,
  type TrainedRow,
  writeReport,
} from "../../sae-train/train-all.ts";
import { TrainingView } from "../../sae-train/view.ts";
import { runStage } from "../../stage.ts";
import type { Terminal } from "../../terminal.ts";

const schema = z.object({
  ...commonSchema,
  ...deviceSchema,
  ...profileSchema,
  out: z.string(),
  otherBackend: z.boolean().default(false),
});

/** Adds `sae train`. */
export function addSaeTrain(sae: Command, terminal: Terminal): void {
  withCommonOptions(
    sae
      .command("train")
      .description(
        "Train one or several SAEs as CONFIG says. Run again to go on where it stopped; Ctrl-C keeps checkpoints.",
      )
      .argument("<config>", "JSON file: model, text and sites, or shards; and entries of SAEs")
      .requiredOption("--out <dir>", "folder for activations, SAEs, metrics and report.html")
      .option(
        "--other-backend",
        "go on although device, kernels, library or threads are not those that the run was started with",
      ),
    deviceFlag,
    profileFlag,
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const config = await readSaeTrainConfig(path, options);
    using work = await openWork(config, path, terminal, options);
    const rows = await withProfile(terminal, work.device, options, () =>
      trainRows(work, config, terminal, options),
    );
    const facts = factsOf(config, work.sources);
    const report = await writeReport(options.out, rows, facts, basename(path, ".json"));
    const result = rows.map(({ error, ...row }) => ({
      ...row,
      error: error === null ? null : { code: error.code, message: error.message, fix: error.fix },
    }));
    printResult(terminal, options.json, { out: options.out, report, saes: result }, () => ({
      columns: ["SAE", "status", "presentations", "L0", "FVU", "dense", "dead"],
      rows: rows.map(cellsOf),
      footer: `the SAEs and report.html are in ${options.out}`,
    }));
    const stopped = rows.filter(({ error }) => error !== null);
    if (stopped.length > 0) throw stoppedError(stopped, rows.length);
  });
}

type Options = z.infer<typeof schema>;

/** Models that a name stands for; a folder of such a name is given as `./tiny`. */
const namedModels: ReadonlySet<string> = new Set(["random", "tiny", "tiny-instruct"]);

/** A device, and activations to train on. */
interface Work extends Disposable {
  readonly device: Device;
  readonly sources: OpenSources;
}

async function openWork(
  config: SaeTrainConfig,
  path: string,
  terminal: Terminal,
  options: Options,
): Promise<Work> {
  const { source } = config;
  const { quiet, out } = options;
  const { signal } = terminal;
  if (source.kind === "shards") {
    const device = await openChosenDevice(terminal, options);
    try {
      const sources = await runStage(terminal, { title: "open shards", quiet }, (onProgress) =>
        openShardSources(source.folders, config, { signal, onProgress }),
      );
      return { device, sources, [Symbol.dispose]: () => device.dispose() };
    } catch (error) {
      device.dispose();
      throw error;
    }
  }
  const beside = resolve(dirname(path), source.model);
  const isPath = !namedModels.has(source.model) && existsSync(beside);
  const open = await openModel(isPath ? beside : source.model, terminal, {
    seed: config.seed,
    quiet,
    device: options.device,
    profile: options.profile,
  });
  try {
    const title = source.source === "live" ? "held-out activations" : "harvest";
    const sources = await runStage(terminal, { title, quiet }, (onProgress) =>
      source.source === "live"
        ? openLiveSources(open.model, source, config, { signal, onProgress })
        : openHarvestedSources(open.model, source, config, out, { signal, onProgress }),
    );
    return { device: open.device, sources, [Symbol.dispose]: () => open[Symbol.dispose]() };
  } catch (error) {
    open[Symbol.dispose]();
    throw error;
  }
}

async function trainRows(
  { device, sources }: Work,
  config: SaeTrainConfig,
  terminal: Terminal,
  { out, quiet, otherBackend }: Options,
): Promise<TrainedRow[]> {
  try {
    const plan = planTrainings(config, sources, out);
    await claimFolder(out, sources);
    const oneSite = sources.sites.length === 1;
    const view = new TrainingView(
      plan.map(({ id }) => id),
      // The site would push the figures off a narrow terminal.
      (id) => (oneSite ? id.slice(id.lastIndexOf("/") + 1) : id),
    );
    const stage = {
      title: plan.length === 1 ? "train" : `train ${plan.length} SAEs`,
      quiet,
      lines: () => view.lines(),
      summary: (rows: readonly TrainedRow[]) =>
        (["trained", "done before", "stopped"] as const)
          .map((status) => [rows.filter((row) => row.status === status).length, status] as const)
          .filter(([number]) => number > 0)
          .map(([number, status]) => `${number} ${status}`)
          .join(", "),
    };
    return await runStage(terminal, stage, (onProgress) =>
      trainAll({
        device,
        plan,
        sources,
        allowOtherBackend: otherBackend,
        signal: terminal.signal,
        onProgress,
        onStep: (event) => view.take(event),
      }),
    );
  } finally {
    await sources.close();
  }
}

function factsOf({ source, heldOutRows }: SaeTrainConfig, { sites }: OpenSources) {
  const [first] = sites;
  const facts = [
    { name: "Model", value: first?.metadata.modelName ?? "\u2013" },
    { name: "Sites", value: sites.map(({ site }) => site).join(", ") },
    {
      name: "Activations",
      value: source.kind === "shards" ? "shards" : source.source === "live" ? "live" : "harvested",
    },
    {
      name: "Context",
      value: `${first?.metadata.contextSize ?? "?"} tokens${first?.metadata.prependBos === true ? ", BOS in front" : ""}`,
    },
    { name: "Held-out activations", value: `at most ${heldOutRows.toLocaleString("en")}` },
  ];
  return source.kind === "shards"
    ? facts
    : [...facts, { name: "Text", value: source.text.map((file) => basename(file)).join(", ") }];
}

function cellsOf({ id, status, history }: TrainedRow): string[] {
  const last = history.points.at(-1);
  return [
    id,
    status,
    history.presentations.toLocaleString("en"),
    last?.heldOutL0.toFixed(1) ?? "",
    last?.heldOutFvu.toFixed(4) ?? "",
    last === undefined ? "" : String(last.denseCount),
    last === undefined ? "" : String(last.deadCount),
  ];
}

function stoppedError(stopped: readonly TrainedRow[], all: number): ConfigError {
  const reasons = stopped.flatMap(({ id, error }) =>
    error === null ? [] : [`${id}: ${error.message} (${error.code})`],
  );
  return new ConfigError({
    code: "SAE_TRAIN_STOPPED",
    message: `${stopped.length} of ${all} SAEs were given up; ${reasons.join("; ")}`,
    fix: `${stopped[0]?.error?.fix ?? "see report.html"}; the other SAEs are done`,
    cause: stopped[0]?.error,
  });
}
