import { fc, test } from "@fast-check/vitest";
import { posix, win32 } from "node:path";
import { describe, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { hubPage, hubReference, isSafePath, parseHubReference } from "./hub-reference.ts";

describe("parseHubReference", () => {
  it.each<readonly [string, string, string, string | undefined]>([
    ["org/name", "org/name", "main", undefined],
    ["HuggingFaceTB/SmolLM2-135M@v1.0", "HuggingFaceTB/SmolLM2-135M", "v1.0", undefined],
    ["EleutherAI/pythia-70m@step3000", "EleutherAI/pythia-70m", "step3000", undefined],
    ["org/name@refs/pr/1", "org/name", "refs/pr/1", undefined],
    ["a/b_c.d@" + "0123456789".repeat(4), "a/b_c.d", "0123456789".repeat(4), undefined],
    ["org/name/model.Q4_K.gguf", "org/name", "main", "model.Q4_K.gguf"],
    ["org/name/sub/m.GGUF@dev", "org/name", "dev", "sub/m.GGUF"],
  ])("takes %s", (text, repo, revision, file) => {
    const name = repo.split("/")[1];
    expect(parseHubReference(text)).toEqual({ repo, name, revision, file });
    expect(hubReference(text)).toEqual({ repo, name, revision, file });
  });

  it.each(
    [
      [
        "",
        "gpt2",
        "a/b/c",
        "/a/b",
        "./a",
        "../a",
        "a/..",
        "a/.b",
        "~/model",
        "a//b",
        "a/b/",
        "C:\\a",
      ],
      ["models/x.gguf", "models/x.safetensors", "a/b--c", "a/b..c", "a/b.git", "a b/c", "a/b@"],
      ["a/b@../../x", "a/b@/x", "a/b@-x", "a/b@x y", "a/b@x\0", "a/b@x:y", "a/b@c@d", "a/b@x//y"],
      ["a/b/../c.gguf", "a/b//c.gguf", "a/b/c\\d.gguf", "a\n/b", `a/${"b".repeat(97)}`],
    ].flat(),
  )("leaves %j", async (text) => {
    expect(parseHubReference(text)).toBeNull();
    expect(await errorOf(() => hubReference(text))).toMatchObject({ code: "HUB_REFERENCE" });
  });
});

describe("hubPage", () => {
  const hub = "https://huggingface.co";
  it.each([
    [`${hub}/org/name`, "org/name", "main"],
    [`${hub}/org/name/`, "org/name", "main"],
    [`${hub}/org/name/tree/dev?x=1`, "org/name", "dev"],
    [`${hub}/org/name/tree/refs%2Fpr%2F1`, "org/name", "refs/pr/1"],
  ])("takes %s", (url, repo, revision) => {
    expect(hubPage(url, hub)).toMatchObject({ repo, revision });
  });

  it.each([
    `${hub}/org/name/resolve/main/model.safetensors`,
    `${hub}/org`,
    "https://huggingface.co.evil.example/org/name",
    `${hub}/org/%E0%A4%A`,
    "https://example.com/org/name",
  ])("leaves %s", (url) => {
    expect(hubPage(url, hub)).toBeNull();
  });
});

describe("isSafePath", () => {
  it.each(["config.json", "a/b/c.json", "...", "a..b", ".gitattributes", "ü/名.json", "-x"])(
    "takes %j",
    (path) => expect(isSafePath(path)).toBe(true),
  );

  it.each(
    [
      ["", ".", "..", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "/"],
      ["a\\b", "..\\x", "C:/x", "c:x", "b/C:", "\\\\server\\share", "a\0b", "a\nb", "a\u007fb"],
    ].flat(),
  )("refuses %j", (path) => {
    expect(isSafePath(path)).toBe(false);
  });

  it("refuses what no file system takes", () => {
    expect(isSafePath(`${"a/".repeat(600)}b`)).toBe(false);
    expect(isSafePath("a".repeat(256))).toBe(false);
  });

  const part = fc.constantFrom("..", ".", "", "a", "b.json", "\\", "C:", "\0", "/", "..\\..");
  test.prop([fc.array(part, { maxLength: 6 }).map((parts) => parts.join("/"))])(
    "lets nothing through that leaves its folder, on any system",
    (path) => {
      if (!isSafePath(path)) return;
      for (const { join, sep } of [posix, win32]) {
        const folder = join("root", "snapshot");
        expect(join(folder, path).startsWith(folder + sep)).toBe(true);
      }
    },
  );
});
