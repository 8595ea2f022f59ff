"""Seconds of an SAE's dense decode and gradients by PyTorch: what a sparse decoder saves.

The encoder's rows [batch, d_sae] hold k entries each and are a dense matrix here, as in PyTorch libraries. Timed: the
reconstruction, the gradient to the latents, the gradient to the decoder. Prints one JSON line: {"peer", "seconds"}.
"""

import argparse
import json
import time

import torch


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ["batch", "d-in", "d-sae", "k", "repetitions"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    pre = torch.randn(options.batch, options.d_sae)
    values, indices = pre.topk(options.k, dim=-1)
    latents = torch.zeros_like(pre).scatter_(-1, indices, values.relu())
    weight = torch.randn(options.d_sae, options.d_in)
    bias = torch.randn(options.d_in)
    gradient = torch.randn(options.batch, options.d_in)
    seconds = []
    with torch.inference_mode():
        for _ in range(options.repetitions + 1):
            start = time.perf_counter()
            torch.addmm(bias, latents, weight)
            gradient @ weight.T
            latents.T @ gradient
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"PyTorch {torch.__version__.split('+')[0]}, dense", "seconds": seconds[1:]}))


main()
