"""Seconds of PyTorch's norms, softmax, cross entropy and (Hugging Face transformers') rotary embedding in f32, forward under
inference_mode, or the gradients after a forward pass.

Prints one JSON line: {"peer": name and versions, "seconds": [one per repetition]}.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F

EPSILON = 1e-5


def rotary(rows: int, columns: int, heads: int):
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    d_head = columns // heads
    frequencies = 1.0 / (10_000.0 ** (torch.arange(0, d_head, 2, dtype=torch.float) / d_head))
    angles = torch.arange(rows).float()[:, None] * frequencies
    cos, sin = (torch.cat((part, part), -1)[None] for part in (angles.cos(), angles.sin()))
    x = torch.randn(1, rows, heads, d_head)
    # transformers turns queries and keys in one call; no keys here.
    none = torch.empty(1, rows, 0, d_head)
    return [x], lambda x: apply_rotary_pos_emb(x, none, cos, sin, unsqueeze_dim=2)[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", choices=["rmsNorm", "layerNorm", "softmax", "crossEntropy", "rope"], required=True)
    parser.add_argument("--pass", dest="direction", choices=["forward", "backward"], required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows, columns = options.rows, options.columns
    if options.work == "rope":
        inputs, run = rotary(rows, columns, options.heads)
    else:
        x, weight, bias = torch.randn(rows, columns), torch.randn(columns), torch.randn(columns)
        targets = torch.randint(0, columns, (rows,))
        inputs, run = {
            "rmsNorm": ([x, weight], lambda x, weight: F.rms_norm(x, (columns,), weight, EPSILON)),
            "layerNorm": ([x, weight, bias], lambda x, weight, bias: F.layer_norm(x, (columns,), weight, bias, EPSILON)),
            "softmax": ([x], lambda x: F.softmax(x, -1)),
            "crossEntropy": ([x], lambda x: F.cross_entropy(x, targets, reduction="none")),
        }[options.work]
    backward = options.direction == "backward"
    if backward:
        inputs = [tensor.requires_grad_() for tensor in inputs]
        seed = torch.randn(run(*inputs).shape)

    seconds = []
    for repetition in range(options.repetitions + 1):
        if backward:
            out = run(*inputs)
            start = time.perf_counter()
            torch.autograd.grad(out, inputs, seed)
        else:
            with torch.inference_mode():
                start = time.perf_counter()
                run(*inputs)
        if repetition > 0:  # the first pays for allocation
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"PyTorch {torch.__version__.split('+')[0]}", "seconds": seconds}))


if __name__ == "__main__":
    main()
