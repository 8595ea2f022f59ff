"""Seconds and peak resident memory of loading a GGUF model with Hugging Face transformers, as f32, in this fresh process.

Imports are not counted. Prints one JSON line: {"peer": name and versions, "seconds": [one], "peakBytes": of the process}.
"""

import argparse
import json
import resource
from pathlib import Path

import torch
import transformers
from clock import THREADS, now


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--tokenizer", type=int, default=0, help="1 to load the tokenizer too")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    transformers.logging.disable_progress_bar()
    folder, name = options.gguf.parent, options.gguf.name
    # The classes are imported when they are first named.
    model_class, tokenizer_class = transformers.AutoModelForCausalLM, transformers.AutoTokenizer

    start = now()
    model_class.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    if options.tokenizer:
        tokenizer_class.from_pretrained(folder, gguf_file=name)
    seconds = now() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peer = f"transformers {transformers.__version__}, PyTorch {torch.__version__.split('+')[0]}, f32"
    print(json.dumps({"peer": peer, "seconds": [seconds], "peakBytes": peak}))


if __name__ == "__main__":
    main()
