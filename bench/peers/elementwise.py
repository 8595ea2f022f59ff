"""Elementwise operators and reductions in PyTorch, on [rows, columns] in f32: one case a line.

Reads JSON lines {"operator", "rows", "columns", "repetitions", "threads"}, and answers each with one JSON line: {"peer": name and
version, "seconds": [one per repetition]}.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

OPERATORS = {
    "siluMul": lambda x, y: F.silu(x) * y,
    "gelu": lambda x, y: F.gelu(x),
    "geluTanh": lambda x, y: F.gelu(x, approximate="tanh"),
    "exp": lambda x, y: torch.exp(x),
    "add": lambda x, y: x + y,
    "where": lambda x, y: torch.where(x < y, x, y),
    "sum": lambda x, y: x.sum(),
    "sumOfColumns": lambda x, y: x.sum(0),
    "logSumExp": lambda x, y: x.logsumexp(-1),
    "variance": lambda x, y: x.var(-1),
}


def measure(question, inputs):
    run = OPERATORS[question["operator"]]
    seconds = []
    for repetition in range(question["repetitions"] + 3):
        start = time.perf_counter()
        run(*inputs)
        if repetition >= 3:  # the first ones pay for threads and memory
            seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    torch.manual_seed(0)
    inputs = None
    name = f"PyTorch {torch.__version__.split('+')[0]}"
    with torch.inference_mode():
        for line in sys.stdin:
            question = json.loads(line)
            torch.set_num_threads(question["threads"])
            if inputs is None:
                inputs = [torch.randn(question["rows"], question["columns"]) for _ in range(2)]
            print(json.dumps({"peer": name, "seconds": measure(question, inputs)}), flush=True)


if __name__ == "__main__":
    main()
