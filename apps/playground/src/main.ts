// The page: questions go to the worker, readings come back and are drawn.
import { tinyLayers } from "@latentkit/tiny";
import { byId, element } from "./page/element.ts";
import { EngineClient } from "./page/engine-client.ts";
import { Playground } from "./page/playground.ts";
import { deviceChoices } from "./protocol.ts";

/** Milliseconds of rest after which a typed text is read. */
const rest = 200;
const deviceNames = {
  auto: "the best there is",
  webgpu: "WebGPU",
  cpu: "WebAssembly",
} as const;

const text = byId("text", HTMLTextAreaElement);
const layer = byId("layer", HTMLSelectElement);
const device = byId("device", HTMLSelectElement);
const status = byId("status", HTMLElement);
const fault = byId("fault", HTMLElement);

layer.append(
  ...Array.from({ length: tinyLayers }, (_, index) => element("option", {}, String(index))),
);
layer.value = String(tinyLayers / 2);
device.append(
  ...deviceChoices.map((name) => element("option", { value: name }, deviceNames[name])),
);

const client = new EngineClient(
  new Worker(new URL("worker/main.ts", import.meta.url), { type: "module" }),
  {
    progress(doing) {
      status.textContent = `${doing}.`;
    },
    reading(reading) {
      fault.hidden = true;
      const { length } = reading.tokens;
      status.textContent = `Read ${length} ${length === 1 ? "token" : "tokens"} in ${Math.ceil(reading.milliseconds)} ms.`;
      playground.show(reading);
    },
    fault({ code, message, fix }) {
      status.textContent = "That did not work.";
      fault.hidden = false;
      fault.replaceChildren(
        element("p", {}, element("b", {}, `${sentence(message)} `), sentence(fix)),
        element("p", { class: "code" }, code),
      );
    },
  },
);
const playground = new Playground(ask);

let timer: ReturnType<typeof setTimeout> | undefined;

function ask(): void {
  // What was typed meanwhile is a part of this question.
  clearTimeout(timer);
  client.ask({
    device: deviceChoices.find((name) => name === device.value) ?? "auto",
    data: new URL("./", document.baseURI).href,
    layer: Number(layer.value),
    text: text.value,
    steering: playground.steering,
  });
}

/** Messages begin small and end without a stop. */
function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

text.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, rest);
});
device.addEventListener("change", ask);
layer.addEventListener("change", () => {
  playground.forgetLatent();
  ask();
});
byId("question", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
ask();
