import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { type Environment, hubSettings } from "./hub-settings.ts";

const settings = (env: Environment) => hubSettings(env, "/home/me", join);

describe("hubSettings", () => {
  it("has the places of huggingface_hub", () => {
    expect(settings({})).toEqual({
      endpoint: "https://huggingface.co",
      cache: "/home/me/.cache/huggingface/hub",
      offline: false,
      token: undefined,
      tokenPath: "/home/me/.cache/huggingface/token",
      stallMs: undefined,
    });
    expect(settings({ XDG_CACHE_HOME: "/x" }).cache).toBe("/x/huggingface/hub");
    expect(settings({ HF_HOME: "~/hf" })).toMatchObject({
      cache: "/home/me/hf/hub",
      tokenPath: "/home/me/hf/token",
    });
    expect(settings({ HF_HOME: "/hf", HF_HUB_CACHE: "/c" }).cache).toBe("/c");
    expect(settings({ HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "" }).cache).toBe("/old");
    expect(settings({ HF_TOKEN_PATH: "/t" }).tokenPath).toBe("/t");
  });

  it.each(["1", "true", "TRUE", "yes", "ON"])("HF_HUB_OFFLINE=%s is offline", (value) => {
    expect(settings({ HF_HUB_OFFLINE: value }).offline).toBe(true);
    expect(settings({ TRANSFORMERS_OFFLINE: value }).offline).toBe(true);
    expect(settings({ HF_HUB_DISABLE_IMPLICIT_TOKEN: value, HF_TOKEN: "hf_x" }).token).toBeNull();
  });

  it.each(["0", "false", "no", ""])("HF_HUB_OFFLINE=%j is not", (value) => {
    expect(settings({ HF_HUB_OFFLINE: value }).offline).toBe(false);
  });

  it("cleans tokens, endpoints and timeouts", () => {
    expect(settings({ HF_TOKEN: " hf_x\n" }).token).toBe("hf_x");
    expect(settings({ HF_TOKEN: "  " }).token).toBeUndefined();
    expect(settings({ HUGGING_FACE_HUB_TOKEN: "hf_y" }).token).toBe("hf_y");
    expect(settings({ HF_ENDPOINT: "http://127.0.0.1:8080/hub/" }).endpoint).toBe(
      "http://127.0.0.1:8080/hub",
    );
    expect(settings({ HF_HUB_DOWNLOAD_TIMEOUT: "2.5" }).stallMs).toBe(2500);
  });

  it.each([
    [{ HF_ENDPOINT: "huggingface.co" }, "HUB_ENDPOINT"],
    [{ HF_ENDPOINT: "ftp://huggingface.co" }, "HUB_ENDPOINT"],
    [{ HF_TOKEN: "hf_a\nhf_b" }, "HUB_TOKEN_FORM"],
    [{ HF_TOKEN: "hf_ü" }, "HUB_TOKEN_FORM"],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: "soon" }, "HUB_TIMEOUT"],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: "0" }, "HUB_TIMEOUT"],
  ])("refuses %o, without repeating a token", async (env, code) => {
    const error = await errorOf(() => settings(env));
    expect(error).toMatchObject({ code, name: "ConfigError" });
    expect(error.message).not.toContain("hf_a");
  });
});
