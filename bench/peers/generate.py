"""Seconds of greedy generation by Hugging Face transformers on a GGUF model, dequantised to f32, with its KV cache.

Reads questions, one JSON object a line: {"gguf", "prompts": token ids of one length, "new": tokens to make of each}.
Answers with one line each: {"peer": name and versions, "seconds": [one run]}.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from clock import THREADS, now

NAME = f"transformers {transformers.__version__}, PyTorch {torch.__version__.split('+')[0]}, f32"


def main() -> None:
    torch.set_num_threads(THREADS)
    transformers.logging.disable_progress_bar()
    model = None
    for line in sys.stdin:
        question = json.loads(line)
        if model is None:
            gguf = Path(question["gguf"])
            model = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.float32
            ).eval()
            model.generation_config.eos_token_id = None
        ids = torch.tensor(question["prompts"])
        start = now()
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=question["new"],
                do_sample=False,
                pad_token_id=0,
            )
        seconds = now() - start
        assert out.shape[1] == ids.shape[1] + question["new"], out.shape
        print(json.dumps({"peer": NAME, "seconds": [seconds]}), flush=True)


if __name__ == "__main__":
    main()
