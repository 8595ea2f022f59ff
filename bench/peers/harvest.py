"""Seconds to get one layer's residual stream from transformers and TransformerLens, on a GGUF model dequantised to f32.

Reads questions, one JSON object a line: {"gguf", "how", "batch", "context", "layers"}. Ways:
- "transformers": a forward hook on the last layer wanted that ends the pass by an exception;
- "hidden-states": `output_hidden_states=True` on the decoder without its head, which runs all layers;
- "transformer-lens": `run_with_cache` of a `HookedTransformer` with `names_filter` and `stop_at_layer`, on raw weights.
Answers with one line each: {"peer": name and versions, "seconds": [one run]}.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
import transformers
from clock import THREADS, now

sys.path.append(str(Path(__file__).resolve().parents[2] / "oracles"))
from hooked_llama import hooked_llama  # noqa: E402

TORCH = f"PyTorch {torch.__version__.split('+')[0]}"


class Stop(Exception):
    """Ends a forward pass."""


class Models:
    """The models, each loaded when it is first asked for."""

    def __init__(self, gguf: Path) -> None:
        self.hf = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        ).eval()
        self.hooked = None

    def transformers(self, tokens, layers):
        kept = []

        def hook(_module, _inputs, output):
            kept.append(output[0] if isinstance(output, tuple) else output)
            raise Stop

        handle = self.hf.model.layers[layers - 1].register_forward_hook(hook)
        try:
            self.hf.model(tokens, use_cache=False)
        except Stop:
            pass
        finally:
            handle.remove()
        return kept[0]

    def hidden_states(self, tokens, layers):
        return self.hf.model(tokens, use_cache=False, output_hidden_states=True).hidden_states[layers]

    def transformer_lens(self, tokens, layers):
        self.hooked = self.hooked or hooked_llama(self.hf, 2048)
        site = f"blocks.{layers - 1}.hook_resid_post"
        _, cache = self.hooked.run_with_cache(
            tokens, names_filter=lambda name: name == site, stop_at_layer=layers, return_cache_object=False
        )
        return cache[site]


NAMES = {
    "transformers": f"transformers {transformers.__version__}, {TORCH}, a hook that stops",
    "hidden-states": f"transformers {transformers.__version__}, {TORCH}, output_hidden_states",
    "transformer-lens": f"TransformerLens {version('transformer-lens')}, {TORCH}, stop_at_layer",
}


def main() -> None:
    torch.set_num_threads(THREADS)
    transformers.logging.disable_progress_bar()
    models = None
    for line in sys.stdin:
        question = json.loads(line)
        models = models or Models(Path(question["gguf"]))
        generator = torch.Generator().manual_seed(0)
        shape = (question["batch"], question["context"])
        tokens = torch.randint(0, models.hf.config.vocab_size, shape, generator=generator)
        run = getattr(models, question["how"].replace("-", "_"))
        with torch.inference_mode():
            start = now()
            run(tokens, question["layers"])
            seconds = now() - start
        print(json.dumps({"peer": NAMES[question["how"]], "seconds": [seconds]}), flush=True)


if __name__ == "__main__":
    main()
