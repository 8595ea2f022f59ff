import { describe, expect, it } from "vitest";
import { planInstall, requirements, stepsAsShell } from "../../tools/requirements.mjs";
import type { Machine, Requirement } from "../../tools/requirements.mjs";

const debian: Machine = { platform: "linux", apt: "debian", codename: "bookworm", root: true };
const row = (name: string, rest: Partial<Requirement> = {}): Requirement => ({
  name,
  why: `the tests of ${name}`,
  detect: () => null,
  debian: [name],
  elsewhere: { darwin: `brew ${name}`, win32: `winget ${name}`, other: `build ${name}` },
  ...rest,
});

describe("planInstall", () => {
  it("updates the lists, then installs every missing package at once", () => {
    const { steps, byHand } = planInstall([row("blas"), row("browser")], debian);
    expect(byHand).toEqual([]);
    expect(steps).toEqual([
      { run: ["apt-get", "update"] },
      { run: ["apt-get", "install", "--yes", "--no-install-recommends", "blas", "browser"] },
    ]);
  });

  it("takes a row marked so from backports on Debian 12, by the mirror in use, and from the release after it", () => {
    const rows = [row("redis"), row("mesa", { backports: true })];
    expect(
      stepsAsShell(planInstall(rows, debian, { mirror: "http://mirror/debian" }).steps, debian),
    ).toEqual([
      "echo 'deb http://mirror/debian bookworm-backports main' | tee /etc/apt/sources.list.d/latentkit-backports.list > /dev/null",
      "apt-get update",
      "apt-get install --yes --no-install-recommends redis",
      "apt-get install --yes --no-install-recommends -t bookworm-backports mesa",
    ]);
    expect(planInstall(rows, { ...debian, codename: "trixie" }).steps).toHaveLength(2);
  });

  it("says sudo to who is not root", () => {
    const machine = { ...debian, root: false };
    expect(stepsAsShell(planInstall([row("blas")], machine).steps, machine)).toEqual([
      "sudo apt-get update",
      "sudo apt-get install --yes --no-install-recommends blas",
    ]);
  });

  it("leaves to a person what apt does not have, and everything where there is no apt", () => {
    const rows = [row("blas"), row("browser", { ubuntu: [] })];
    const onUbuntu = planInstall(rows, { ...debian, apt: "ubuntu", codename: "noble" });
    expect(onUbuntu.steps).toHaveLength(2);
    expect(onUbuntu.byHand).toEqual(["browser: build browser"]);
    expect(planInstall(rows, { platform: "darwin", apt: null, codename: "", root: false })).toEqual(
      {
        steps: [],
        byHand: ["blas: brew blas", "browser: brew browser"],
      },
    );
  });
});

it("every requirement says why it is needed and how to get it everywhere", () => {
  expect(requirements.length).toBeGreaterThan(0);
  for (const { name, why, debian: packages, elsewhere } of requirements) {
    expect(
      [name, why, ...packages, ...Object.values(elsewhere)].every((text) => text.length > 3),
    ).toBe(true);
    expect(packages.length).toBeGreaterThan(0);
  }
});
