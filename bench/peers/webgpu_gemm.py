"""Square matrix products by PyTorch, on CUDA where it is there, so that they alternate with Latentkit's on WebGPU.

Reads one JSON object a line: {"n", "dtype": "f32" or "bf16"}. Answers each with one line: {"peer": name and device,
"seconds": [one per round, of one product]}. f32 is f32: TF32 is off.
"""

import json
import sys
import time

import torch

ROUNDS = 5
PRODUCTS = 10


def measure(n: int, dtype: torch.dtype, device: str) -> list[float]:
    a = torch.randn(n, n, device=device, dtype=dtype)
    b = torch.randn(n, n, device=device, dtype=dtype)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    torch.mm(a, b)
    wait()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(a, b)
        wait()
        seconds.append((time.perf_counter() - start) / PRODUCTS)
    return seconds


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    with torch.inference_mode():
        for line in sys.stdin:
            case = json.loads(line)
            dtype = torch.bfloat16 if case["dtype"] == "bf16" else torch.float32
            name = f"PyTorch {torch.__version__.split('+')[0]} {case['dtype']}, {where}"
            print(json.dumps({"peer": name, "seconds": measure(case["n"], dtype, device)}), flush=True)
