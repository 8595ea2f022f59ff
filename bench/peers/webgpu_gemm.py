"""Square matrix products by PyTorch, on CUDA where it is there, so that they alternate with Latentkit's on WebGPU.

Reads one JSON object a line: {"n", "dtype": "f32" or "bf16"}. Answers each with one line: {"peer": name and device,
"seconds": [one per round, of one product]}. f32 is f32: TF32 is off.
"""

import json
import sys
import time

import torch
from accelerator import pick, wait, where

ROUNDS = 5
PRODUCTS = 10


def measure(n: int, dtype: torch.dtype, device: str) -> list[float]:
    a = torch.randn(n, n, device=device, dtype=dtype)
    b = torch.randn(n, n, device=device, dtype=dtype)

    torch.mm(a, b)
    wait(device)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(a, b)
        wait(device)
        seconds.append((time.perf_counter() - start) / PRODUCTS)
    return seconds


if __name__ == "__main__":
    torch.manual_seed(0)
    device = pick()
    with torch.inference_mode():
        for line in sys.stdin:
            case = json.loads(line)
            dtype = torch.bfloat16 if case["dtype"] == "bf16" else torch.float32
            name = f"PyTorch {torch.__version__.split('+')[0]} {case['dtype']}, {where(device)}"
            print(json.dumps({"peer": name, "seconds": measure(case["n"], dtype, device)}), flush=True)
