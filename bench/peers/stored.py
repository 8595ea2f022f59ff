"""Seconds of PyTorch's f32 matrix times vector on the CPU, weight [out, in].

Prints one JSON line: {"peer": name and versions, "seconds": [one per repetition]}.
"""

import argparse
import json
import time

import torch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    weight, x = torch.randn(options.rows, options.columns), torch.randn(options.columns)
    seconds = []
    with torch.inference_mode():
        for repetition in range(options.repetitions + 2):
            start = time.perf_counter()
            weight @ x
            if repetition > 1:
                seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"PyTorch {torch.__version__}, f32, {options.threads} threads", "seconds": seconds}))


if __name__ == "__main__":
    main()
