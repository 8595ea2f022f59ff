"""Seconds of PyTorch's scaled_dot_product_attention in f32, causal.

Reads questions, one JSON object a line: {"batch", "queries", "keys", "heads", "kvHeads", "dHead", "gradients", "repetitions",
"threads"}. Prints one JSON line for each: {"peer": name and version, "seconds": [one per repetition]}. One query sees all keys;
more are as many as the keys. With gradients, forward and backward are timed together.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F


def measure(batch, queries, keys, heads, kvHeads, dHead, gradients, repetitions, threads):
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    # [batch, position, head, d_head] seen as [batch, head, position, d_head]: how models' projections give them.
    q, k, v = (
        torch.randn(batch, length, count, dHead, generator=generator).transpose(1, 2)
        for length, count in ((queries, heads), (keys, kvHeads), (keys, kvHeads))
    )
    d_out = torch.randn(batch, heads, queries, dHead, generator=generator)
    if gradients:
        for tensor in (q, k, v):
            tensor.requires_grad_()
    seconds = []
    for repetition in range(repetitions + 2):
        start = time.perf_counter()
        with torch.set_grad_enabled(gradients):
            out = F.scaled_dot_product_attention(q, k, v, is_causal=queries > 1, enable_gqa=heads != kvHeads)
            if gradients:
                torch.autograd.grad(out, (q, k, v), d_out)
        if repetition > 1:  # the first pay for allocation
            seconds.append(time.perf_counter() - start)
    return seconds


for line in sys.stdin:
    seconds = measure(**json.loads(line))
    print(json.dumps({"peer": f"PyTorch {torch.__version__.split('+')[0]} SDPA", "seconds": seconds}), flush=True)
