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

TORCH = f"PyTorch {torch.__version__.split('+')[0]}"


class Stop(Exception):
    """Ends a forward pass."""


def lens(model):
    """The same weights in TransformerLens, unprocessed."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    c = model.config
    cfg = HookedTransformerConfig(
        n_layers=c.num_hidden_layers,
        d_model=c.hidden_size,
        n_ctx=2048,
        d_head=c.head_dim,
        n_heads=c.num_attention_heads,
        n_key_value_heads=c.num_key_value_heads,
        d_mlp=c.intermediate_size,
        d_vocab=c.vocab_size,
        act_fn="silu",
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        positional_embedding_type="rotary",
        rotary_dim=c.head_dim,
        rotary_base=c.rope_parameters["rope_theta"],
        rotary_adjacent_pairs=False,
        eps=c.rms_norm_eps,
        dtype=torch.float32,
        device="cpu",
        default_prepend_bos=False,
    )
    hooked = HookedTransformer(cfg)
    hooked.load_state_dict(convert_llama_weights(model, cfg), strict=False)
    return hooked.eval()


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
        self.hooked = self.hooked or lens(self.hf)
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
