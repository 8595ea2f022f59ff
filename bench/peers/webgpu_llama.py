"""Seconds of generation and of harvesting by transformers on a random Llama, on CUDA where it is there, so that they alternate with
Latentkit's on WebGPU.

Reads questions, one JSON object a line: {"how", "shape", "dtype": "f32" or "bf16"} and
- "decode": {"prompt": token ids, "new": tokens to make}: `generate`, greedy, with its KV cache;
- "harvest": {"batch", "context", "layers"}: a forward hook on the last layer wanted ends the pass; its output goes to the host as f32.
Answers each with one line: {"peer": name, versions and device, "seconds": [one run]}. f32 is f32: TF32 is off.
"""

import json
import sys

import torch
import transformers
from accelerator import pick, wait, where
from clock import now

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Stop(Exception):
    """Ends a forward pass."""


def make(shape: dict, dtype: str, device: str):
    config = transformers.LlamaConfig(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["dModel"],
        intermediate_size=shape["dMlp"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kvHeads"],
        head_dim=shape["dHead"],
        max_position_embeddings=shape["contextSize"],
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    model = transformers.LlamaForCausalLM(config).to(device=device, dtype=DTYPES[dtype]).eval()
    model.generation_config.eos_token_id = None
    return model


def decode(model, question: dict, device: str) -> float:
    ids = torch.tensor([question["prompt"]], device=device)
    wait(device)
    start = now()
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=question["new"], do_sample=False, pad_token_id=0
    )
    out.cpu()
    seconds = now() - start
    assert out.shape[1] == ids.shape[1] + question["new"], out.shape
    return seconds


def harvest(model, question: dict, device: str) -> float:
    shape = (question["batch"], question["context"])
    ids = torch.randint(0, model.config.vocab_size, shape, generator=torch.Generator().manual_seed(0))
    kept = []

    def hook(_module, _inputs, output):
        kept.append(output[0] if isinstance(output, tuple) else output)
        raise Stop

    handle = model.model.layers[question["layers"] - 1].register_forward_hook(hook)
    wait(device)
    start = now()
    try:
        model.model(ids.to(device), use_cache=False)
    except Stop:
        pass
    finally:
        handle.remove()
    values = kept[0].float().cpu()
    seconds = now() - start
    assert values.shape == (*shape, model.config.hidden_size), values.shape
    return seconds


def main() -> None:
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    device = pick()
    made: tuple | None = None
    for line in sys.stdin:
        question = json.loads(line)
        key = (json.dumps(question["shape"]), question["dtype"])
        if made is None or made[0] != key:
            made = None  # two models need not fit
            made = (key, make(question["shape"], question["dtype"], device))
        with torch.inference_mode():
            seconds = {"decode": decode, "harvest": harvest}[question["how"]](made[1], question, device)
        name = f"transformers {transformers.__version__}, PyTorch {torch.__version__.split('+')[0]} {question['dtype']}, {where(device)}"
        print(json.dumps({"peer": name, "seconds": [seconds]}), flush=True)


if __name__ == "__main__":
    main()
