"""Seconds of PyTorch's transposition, selection, sorting, normal numbers and gradient of an embedding, in f32.

Prints one JSON line: {"peer": name and versions, "seconds": [one per repetition]}.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F

VOCABULARY, D_MODEL, TOKENS = 49_152, 576, 8192


def transpose():
    x = torch.randn(4096, 4096)
    return lambda: x.t().contiguous()


def top_k():
    x = torch.randn(1024, 16_384)
    return lambda: x.topk(64)


def top_k_all():
    x = torch.randn(1024, 16_384)
    return lambda: x.flatten().topk(65_536)


def sort():
    x = torch.randn(1024, 4096)
    return lambda: x.sort(stable=True)


def random_normal():
    return lambda: torch.randn(2**24)


def embedding_gradient():
    table = torch.randn(VOCABULARY, D_MODEL, requires_grad=True)
    ids = torch.randperm(VOCABULARY)[:TOKENS]
    seed = torch.randn(TOKENS, D_MODEL)
    return lambda: torch.autograd.grad(F.embedding(ids, table), [table], seed)


WORKS = {
    "transpose": transpose,
    "topK": top_k,
    "topKAll": top_k_all,
    "sort": sort,
    "randomNormal": random_normal,
    "embeddingGradient": embedding_gradient,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", choices=list(WORKS), required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    run = WORKS[options.work]()
    seconds = []
    for repetition in range(options.repetitions + 1):
        start = time.perf_counter()
        run()
        if repetition > 0:  # the first pays for allocation
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"PyTorch {torch.__version__.split('+')[0]}", "seconds": seconds}))


if __name__ == "__main__":
    main()
