import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { errorOf } from "../../__fixtures__/load.ts";
import {
  first,
  json,
  model,
  remote,
  repo,
  second,
  server,
  weights,
} from "../../__fixtures__/tiny-hub.ts";
import { openHubRepository } from "./open-repository.ts";

// A hub with one repository, and an empty cache, for each test.
const open = (name = "org/tiny", env: object = {}) => openHubRepository(name, remote({}, env));

it("lists a repository and brings the files that are asked for, once", async () => {
  repo().commits[first] = {
    "layer_3/cfg.json": json({ k: 3 }),
    "layer_3/w.safetensors": weights("a", 1),
    "b.bin": json(0),
  };
  const repository = await open();
  expect(repository).toMatchObject({
    commit: first,
    complete: true,
    files: ["layer_3/cfg.json", "layer_3/w.safetensors", "b.bin"],
  });
  const paths = await repository.fetch(["layer_3/w.safetensors", "layer_3/cfg.json"]);
  const snapshot = join(model, "snapshots", first);
  expect(paths).toEqual([
    join(snapshot, "layer_3/w.safetensors"),
    join(snapshot, "layer_3/cfg.json"),
  ]);
  expect(JSON.parse(await readFile(paths[1] ?? "", "utf8"))).toEqual({ k: 3 });
  server.seen.length = 0;
  await (await open()).fetch(["layer_3/w.safetensors"]);
  expect(server.seen.map(({ line }) => line)).toEqual([
    "hub GET /api/models/org/tiny/revision/main?blobs=true",
  ]);
  expect(server.count(/b\.bin/)).toBe(0);
});

it("works without a network on what is there, and names what is not", async () => {
  await (await open()).fetch(["config.json"]);
  const offline = await open("org/tiny", { HF_HUB_OFFLINE: "1" });
  expect(offline).toMatchObject({ commit: first, files: ["config.json"], complete: false });
  expect(await offline.fetch(["config.json"])).toHaveLength(1);
  expect(await errorOf(() => offline.fetch(["model.safetensors"]))).toMatchObject({
    code: "HUB_NOT_CACHED",
  });
  server.faults.push({ match: /api/, times: 100, status: 503 });
  expect((await open()).files).toEqual(["config.json"]);
  expect(await errorOf(() => open(`org/tiny@${second}`, { HF_HUB_OFFLINE: "1" }))).toMatchObject({
    code: "HUB_NOT_CACHED",
  });
});

it("says which repository, revision or file there is not", async () => {
  expect(await errorOf(() => open("org/none"))).toMatchObject({ code: "HUB_REPO_MISSING" });
  expect(await errorOf(() => open("org/tiny@none"))).toMatchObject({
    code: "HUB_REVISION_MISSING",
  });
  expect(await errorOf(() => open("none"))).toMatchObject({ code: "HUB_REFERENCE" });
  const repository = await open();
  expect(await errorOf(() => repository.fetch(["config.jsn"]))).toMatchObject({
    code: "HUB_FILE_MISSING",
  });
  expect(await errorOf(() => repository.fetch(["../config.json"]))).toMatchObject({
    code: "HUB_FILE_MISSING",
  });
});
