import { existsSync, readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vitepress";
import type { DefaultTheme } from "vitepress";

const docs = new URL("../", import.meta.url);

/** The pages of a folder by file name, its index first, each called by its first heading. */
function pagesOf(folder: string): DefaultTheme.SidebarItem[] {
  const names = readdirSync(new URL(`${folder}/`, docs)).filter((name) => name.endsWith(".md"));
  return names
    .toSorted((a, b) => Number(b === "index.md") - Number(a === "index.md") || a.localeCompare(b))
    .map((name) => {
      const heading = /^# (.+)$/m.exec(readFileSync(new URL(`${folder}/${name}`, docs), "utf8"));
      return {
        text: heading?.[1] ?? name,
        link: `/${folder}/${name === "index.md" ? "" : name.replace(".md", "")}`,
      };
    });
}

/** The generated page of every public entry. */
function apiPages(): DefaultTheme.SidebarItem[] {
  const folder = new URL("reference/api/@latentkit/", docs);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => name.replaceAll("\\", "/").replace(".md", ""))
    .toSorted()
    .map((name) => ({ text: `@latentkit/${name}`, link: `/reference/api/@latentkit/${name}` }));
}

const sidebar = (folder: string): DefaultTheme.SidebarItem[] => [{ items: pagesOf(folder) }];

export default defineConfig({
  title: "Latentkit",
  description: "Mechanistic interpretability for TypeScript.",
  cleanUrls: true,
  // Links from the pages to files of the repository that are not pages.
  ignoreDeadLinks: [
    /^(?:\.\/)?(?:\.\.\/)+(?:README|CONTRIBUTING|AGENTS|FEATURES|packages|apps|tools)/,
  ],
  srcExclude: ["adr/template.md"],
  themeConfig: {
    nav: [
      { text: "Learn", link: "/learn/" },
      { text: "How to", link: "/how-to/" },
      { text: "Reference", link: "/reference/" },
      { text: "Errors", link: "/errors/" },
      { text: "Worlds", link: "/worlds/" },
      { text: "Papers", link: "/papers/" },
      { text: "Results", link: "/results/" },
      { text: "Decisions", link: "/adr/" },
    ],
    sidebar: {
      ...Object.fromEntries(
        ["learn", "how-to", "errors", "worlds", "papers", "adr"].map((folder) => [
          `/${folder}/`,
          sidebar(folder),
        ]),
      ),
      "/reference/": [{ items: [...pagesOf("reference"), ...apiPages()] }],
    },
    outline: [2, 3],
    search: { provider: "local" },
  },
});
