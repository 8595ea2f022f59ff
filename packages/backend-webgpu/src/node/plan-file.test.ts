import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { noPlans, withPlans } from "../tuner/store.ts";
import { readTunedPlans, tunedPlansPath, writeTunedPlans } from "./plan-file.ts";

describe("the file of plans", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "plans-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it.each([
    [{ XDG_CACHE_HOME: "/x" }, "/x/latentkit/webgpu-plans.json"],
    [{ XDG_CACHE_HOME: "" }, "/home/me/.cache/latentkit/webgpu-plans.json"],
    [{ XDG_CACHE_HOME: "x" }, "/home/me/.cache/latentkit/webgpu-plans.json"],
    [{}, "/home/me/.cache/latentkit/webgpu-plans.json"],
  ])("is in the cache of %j", (env, wanted) => {
    expect(tunedPlansPath(env, "/home/me")).toBe(wanted);
  });

  it("keeps what others measured, makes its folder, and leaves nothing beside it", async () => {
    const path = join(folder, "a", "b", "plans.json");
    expect(await readTunedPlans(path)).toEqual(noPlans);
    const one = withPlans(withPlans(noPlans, "gpu", { x: "1", y: "1" }), "other", { x: "3" });
    expect(await writeTunedPlans(one, path)).toBe(true);
    expect(await readTunedPlans(path)).toEqual(one);
    expect(await writeTunedPlans(withPlans(noPlans, "gpu", { y: "2", z: "2" }), path)).toBe(true);
    expect(await readTunedPlans(path)).toEqual(withPlans(one, "gpu", { x: "1", y: "2", z: "2" }));
    expect(await readdir(join(folder, "a", "b"))).toEqual(["plans.json"]);
  });

  it("is none where it is torn, of another version, or no file of plans, and is written anew", async () => {
    const path = join(folder, "plans.json");
    const plans = withPlans(noPlans, "gpu", { x: "1" });
    await writeTunedPlans(plans, path);
    const text = await readFile(path, "utf8");
    const others = [
      "",
      text.slice(0, -5),
      "null",
      "[]",
      text.replace('"schemaVersion": 1', '"schemaVersion": 2'),
      text.replace(/"build": "[^"]*"/, '"build": "wgsl-0"'),
      text.replace('"x": "1"', '"x": 1'),
    ];
    for (const other of others) {
      expect(other).not.toBe(text);
      await writeFile(path, other);
      expect(await readTunedPlans(path), other).toEqual(noPlans);
      await writeTunedPlans(plans, path);
      expect(await readFile(path, "utf8")).toBe(text);
    }
  });

  it("says where it could not be written, and leaves nothing", async () => {
    const file = join(folder, "no-folder");
    await writeFile(file, "");
    expect(await writeTunedPlans(noPlans, join(file, "plans.json"))).toBe(false);
    expect(await readTunedPlans(join(file, "plans.json"))).toEqual(noPlans);
    expect(await readdir(folder)).toEqual(["no-folder"]);
  });
});
