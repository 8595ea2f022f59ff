"""Seconds per fused update of PyTorch's optimisers on the CPU, over one tensor.

Prints one JSON line: {"peer": name and versions, "seconds": [one per update]}.
"""

import argparse
import json
import time

import torch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--optimiser", choices=["adam", "sgd"], required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(options.size))
    parameter.grad = torch.randn(options.size)
    if options.optimiser == "adam":
        optimiser = torch.optim.AdamW([parameter], lr=1e-3, weight_decay=0.1, fused=True)
    else:
        optimiser = torch.optim.SGD([parameter], lr=1e-3, momentum=0.9, fused=True)
    seconds = []
    for repetition in range(options.repetitions + 2):
        start = time.perf_counter()
        optimiser.step()
        if repetition >= 2:  # the first ones pay for allocation
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"PyTorch {torch.__version__.split('+')[0]} fused, {options.threads} threads", "seconds": seconds}))


if __name__ == "__main__":
    main()
