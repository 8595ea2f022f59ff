"""Seconds per forward pass of Hugging Face transformers on a GGUF model, dequantised to f32.

Prints one JSON line: {"peer": name and versions, "seconds": [one per repetition]}.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import transformers


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--stop-after", type=int, help="return the residual stream after this many layers, without logits")
    options = parser.parse_args()

    model = transformers.AutoModelForCausalLM.from_pretrained(
        options.gguf.parent, gguf_file=options.gguf.name, dtype=torch.float32
    ).eval()
    if options.stop_after is not None:
        model.model.layers = model.model.layers[: options.stop_after]
        model.model.norm = torch.nn.Identity()
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, model.config.vocab_size, (options.batch, options.context), generator=generator)
    run = model if options.stop_after is None else model.model

    seconds = []
    with torch.inference_mode():
        for repetition in range(options.repetitions + 1):
            start = time.perf_counter()
            run(tokens, use_cache=False)
            if repetition > 0:  # the first pays for allocation
                seconds.append(time.perf_counter() - start)
    name = f"transformers {transformers.__version__}, PyTorch {torch.__version__.split('+')[0]}"
    print(json.dumps({"peer": name, "seconds": seconds}))


if __name__ == "__main__":
    main()
