import type { Prediction, Reading } from "../protocol.ts";
import { bar, element, figure } from "./element.ts";
import { amount, percent, visible } from "./words.ts";

/** Latents of a token that the page lists. */
const listed = 12;

/** The tokens as buttons, the chosen one pressed, each with the chosen latent's activation as its ground. */
export function tokenButtons(
  { tokens }: Reading,
  chosen: number,
  latent: number | null,
  choose: (place: number) => void,
): HTMLElement[] {
  const activations = tokens.map(({ active }) =>
    latent === null ? 0 : (active.find((one) => one.latent === latent)?.activation ?? 0),
  );
  const most = Math.max(...activations, 0);
  return tokens.map(({ text }, place) => {
    const activation = activations[place] ?? 0;
    const button = element(
      "button",
      { type: "button", class: "token", "aria-pressed": String(place === chosen) },
      visible(text),
    );
    if (activation > 0) {
      button.style.setProperty("--heat", String(activation / most));
      button.title = `latent ${latent}: ${amount(activation)}`;
      button.setAttribute("aria-label", `${text}, activation ${amount(activation)}`);
      button.dataset["activation"] = String(activation);
    }
    button.addEventListener("click", () => choose(place));
    return button;
  });
}

/** The strongest latents of a token as buttons, the chosen one pressed. */
export function latentButtons(
  active: Reading["tokens"][number]["active"],
  latent: number | null,
  choose: (latent: number) => void,
): HTMLElement[] {
  const most = active[0]?.activation ?? 1;
  return active.slice(0, listed).map((one) => {
    const button = element(
      "button",
      {
        type: "button",
        class: "latent",
        "aria-pressed": String(one.latent === latent),
        "data-latent": String(one.latent),
      },
      element("span", {}, `#${one.latent}`),
      bar(one.activation / most),
      figure(one.activation, amount(one.activation)),
    );
    button.addEventListener("click", () => choose(one.latent));
    return element("li", {}, button);
  });
}

/** The table of next tokens, with a column for steering if there is some. */
export function predictionRows(next: readonly Prediction[]): HTMLElement[] {
  const steered = next.some((one) => one.steered !== null);
  const heads = steered ? ["Token", "Before", "Steered"] : ["Token", "Probability"];
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  return [
    element("thead", {}, head),
    element("tbody", {}, ...next.map((one) => predictionRow(one))),
  ];
}

function predictionRow({ id, text, probability, steered }: Prediction): HTMLElement {
  const cell = (share: number, kind: string): HTMLElement =>
    element("td", {}, bar(share, kind), figure(share, percent(share)));
  return element(
    "tr",
    { "data-token": String(id) },
    element("th", { scope: "row" }, element("span", { class: "token" }, visible(text))),
    cell(probability, "before"),
    ...(steered === null ? [] : [cell(steered.probability, "steered")]),
  );
}
