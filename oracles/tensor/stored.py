"""Goldens of stored weights: blocks of every format with their values by the reference package `gguf`, and products by PyTorch.

    python oracles/tensor/stored.py packages/tensor/src/testing/goldens/stored.json
    npx oxfmt packages/tensor/src/testing/goldens

Bytes are quantised normals, except for blocks whose scales are edge cases (zeros, subnormal, largest, infinite, NaN) and whose other
bytes are random. `out = x W^T + bias` and `dx = dOut W` are computed in f64 from the dequantised weights. Made with the versions in
versions.txt and `gguf` of oracles/gguf/versions.txt.
"""

import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize
from pack import normal, pack, start, write

start(20260110)
random = np.random.default_rng(20260110)

EDGES = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0x7C00, 0xFC00, 0x7E00], np.uint16)

# Where the f16 numbers of a block stand.
HALVES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q4_K: [0, 2], T.Q6_K: [208]}


def edges(kind):
    """A block for each edge case of each scale; the other scale and all other bytes are random."""
    if kind in (T.F16, T.BF16):
        return EDGES.view(np.uint8).reshape(1, -1)
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = []
    for place in HALVES[kind]:
        rows = random.integers(0, 256, (len(EDGES), size), np.uint8)
        for half in HALVES[kind]:
            rows[:, half : half + 2] = random.standard_normal(len(EDGES)).astype(np.float16).view(np.uint8).reshape(-1, 2)
        rows[:, place : place + 2] = EDGES.view(np.uint8).reshape(-1, 2)
        blocks.append(rows)
    return np.concatenate(blocks)


def k_blocks(kind, rows, columns):
    """Random blocks with sensible scales, for the formats that the package cannot quantise."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // elements, size), np.uint8)
    for half in HALVES[kind]:
        blocks[:, half : half + 2] = (0.01 * random.standard_normal(len(blocks))).astype(np.float16).view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def products(kind, rows, columns):
    stored = k_blocks(kind, rows, columns) if kind in (T.Q4_K, T.Q6_K) else quantize(normal(rows, columns, scale=0.1).float().numpy(), kind)
    values = dequantize(stored, kind).astype(np.float32).reshape(rows, columns)
    weight = torch.from_numpy(values).double()
    bias, x, d_out = normal(rows), normal(9, columns), normal(9, rows)
    with np.errstate(all="ignore"):
        edge_bytes = edges(kind)
        edge_values = dequantize(edge_bytes, kind).astype(np.float32).reshape(-1)
    return {
        "format": kind.name.lower(),
        "bytes": pack(torch.from_numpy(np.ascontiguousarray(stored).view(np.uint8).reshape(-1))),
        "values": pack(torch.from_numpy(values)),
        "edgeBytes": pack(torch.from_numpy(edge_bytes.reshape(-1).copy())),
        "edgeValues": pack(torch.from_numpy(edge_values)),
        "bias": pack(bias), "x": pack(x), "dOut": pack(d_out),
        "out": pack(torch.nn.functional.linear(x, weight, bias)), "dx": pack(d_out @ weight),
    }


kinds = [(T.F16, 7, 37), (T.BF16, 7, 37), (T.Q8_0, 7, 96), (T.Q4_0, 7, 96), (T.Q4_1, 7, 96), (T.Q4_K, 5, 512), (T.Q6_K, 5, 512)]
write(sys.argv[1], {"cases": [products(*kind) for kind in kinds]})
