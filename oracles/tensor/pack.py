"""What the scripts of goldens share: f32 inputs held as f64, and tensors as exact, small JSON."""

import base64
import json
import pathlib

import torch


def start(seed):
    torch.manual_seed(seed)
    torch.set_num_threads(1)


def normal(*shape, scale=1.0):
    """f32 values, held as f64 so that what follows is computed in f64."""
    return (scale * torch.randn(*shape)).float().double()


def pack(tensor):
    """Elements as little-endian bytes in base64: f32, i32 or u8 by the tensor's kind."""
    tensor = tensor.detach().contiguous()
    kinds = {torch.int64: ("i32", torch.int32), torch.int32: ("i32", torch.int32), torch.bool: ("u8", torch.uint8), torch.uint8: ("u8", torch.uint8)}
    name, dtype = kinds.get(tensor.dtype, ("f32", torch.float32))
    return {"shape": list(tensor.shape), name: base64.b64encode(tensor.to(dtype).numpy().tobytes()).decode()}


def case(**values):
    return {name: pack(value) if isinstance(value, torch.Tensor) else value for name, value in values.items()}


def write(path, goldens):
    out = pathlib.Path(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(goldens, indent=1) + "\n")
