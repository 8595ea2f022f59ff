"""Matrix products by PyTorch, case by case, so that they alternate with Latentkit's.

Reads one JSON object a line: {"m", "n", "k", "transposeA", "transposeB", "epilogue", "seconds"}. Answers each with one line:
{"peer": name and threads, "seconds": [one per repetition]}. `epilogue` adds a bias and ReLU, as torch.nn.functional.linear.
"""

import json
import sys
import time

import torch


def measure(case: dict) -> list[float]:
    m, n, k = case["m"], case["n"], case["k"]
    a = torch.randn(k, m).T if case["transposeA"] else torch.randn(m, k)
    b = torch.randn(n, k).T if case["transposeB"] else torch.randn(k, n)
    bias = torch.randn(n)

    def run() -> None:
        if case["epilogue"]:
            torch.relu_(torch.nn.functional.linear(a, b.T, bias))
        else:
            torch.mm(a, b)

    run()
    seconds = []
    until = time.perf_counter() + case["seconds"]
    while len(seconds) < 3 or time.perf_counter() < until:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    torch.manual_seed(0)
    name = f"PyTorch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} threads"
    with torch.inference_mode():
        for line in sys.stdin:
            print(json.dumps({"peer": name, "seconds": measure(json.loads(line))}), flush=True)
