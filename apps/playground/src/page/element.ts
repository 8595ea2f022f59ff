import { internalFault } from "@latentkit/core";

/**
 * An element with attributes, a text or children. Text stays text: nothing that a model or a reader writes becomes markup.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The page's element of that id. Throws `INTERNAL_FAULT` where there is none of that kind: page and script do not belong together. */
export function byId<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw internalFault(`the page has no ${kind.name} called ${id}`);
}

/** A bar whose length is a share of its place, from 0 to 1. For eyes only: the figure stands beside it. */
export function bar(share: number, kind = ""): HTMLElement {
  const made = element("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  made.style.setProperty("--share", String(Math.min(1, Math.max(0, share))));
  return made;
}

/** A figure for people, with its exact value for programs. */
export function figure(value: number, text: string): HTMLDataElement {
  return element("data", { value: String(value) }, text);
}
