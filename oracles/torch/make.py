"""Goldens for the torch reader of @latentkit/loaders: files of torch.save and what torch reads from them.

    python oracles/torch/make.py [OUT]

OUT defaults to packages/loaders/src/torch/__fixtures__. Deterministic; needs torch and safetensors.
"""

import io
import json
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/loaders/src/torch/__fixtures__"


def seeded(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=GENERATOR).to(dtype)


GENERATOR = torch.Generator().manual_seed(0)


def values():
    base = seeded(5, 6)
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    for parameter in module.parameters():
        parameter.data.copy_(seeded(*parameter.shape))
    return {
        "state-dict": module.state_dict(),
        "everything": {
            "f64": seeded(2, 3, dtype=torch.float64),
            "f16": seeded(7, dtype=torch.float16),
            "bf16": seeded(2, 2, 2, dtype=torch.bfloat16),
            "i64": torch.tensor([[1, -2], [3, 40000]]),
            "i8": torch.tensor([-128, 127], dtype=torch.int8),
            "u8": torch.tensor([0, 255], dtype=torch.uint8),
            "bool": torch.tensor([True, False, True]),
            "scalar": torch.tensor(1.5),
            "empty": torch.zeros(0, 3),
            "transposed": seeded(4, 3).T,
            "column": base[:, 2],
            "window": base[1:4, 2:5],
            "permuted": seeded(2, 3, 4).permute(2, 0, 1),
            "wide.transposed": torch.arange(6).reshape(2, 3).T,
            "parameter": nn.Parameter(seeded(3)),
            "nested": {"list": [seeded(2), {"deep": seeded(1)}], "k": 32, "share": 0.25},
            "k": 7,
            "large": 2**40,
            "negative": -3,
            "name": "latents, ünïcode",
            "yes": True,
            "nothing": None,
            "dtype": torch.bfloat16,
            "device": torch.device("cpu"),
            "size": torch.Size([2, 5]),
            "ordered": OrderedDict([("a", 1)]),
            "__proto__": {"polluted": 1},
        },
    }


def flat(value, path=()):
    if isinstance(value, torch.Tensor):
        yield ".".join(path), value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from flat(inner, (*path, str(index)))
    else:
        yield ".".join(path), value


class Evil:
    """What an attacker writes: unpickling it calls a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    golden, scalars, shapes = {}, {}, {}
    for name, value in values().items():
        torch.save(value, OUT / f"{name}.pt")
        if name == "everything":
            torch.save(value, OUT / "protocol-5.pt", pickle_protocol=5)
            torch.save({"a": seeded(3)}, OUT / "legacy.pt", _use_new_zipfile_serialization=False)
        back = torch.load(OUT / f"{name}.pt", weights_only=True)
        for key, entry in flat(back):
            if isinstance(entry, torch.Tensor):
                golden[f"{name}/{key}"] = entry.detach().to(torch.float32).contiguous()
                shapes[f"{name}/{key}"] = list(entry.shape)
            elif entry is None or isinstance(entry, (bool, int, float, str)):
                scalars[f"{name}/{key}"] = entry
    save_file(golden, OUT / "golden.safetensors")
    (OUT / "golden.json").write_text(json.dumps({"scalars": scalars, "shapes": shapes}, ensure_ascii=False))

    # A program in place of data.pkl: what Python would have run, had it read the file.
    import os
    import subprocess

    attacks = {
        "system": (Evil(os.system, "touch pwned"), 2),
        "eval-4": (Evil(eval, "__import__('os').system('touch pwned')"), 4),
        "popen-in-dict": ({"weight": torch.zeros(1), "x": Evil(subprocess.Popen, ["touch", "pwned"])}, 2),
        "getattr-5": (Evil(getattr, [], "append"), 5),
        "object": (nn.Linear(1, 1), 2),
    }
    for name, (value, protocol) in attacks.items():
        file = io.BytesIO()
        torch.save(value, file, pickle_protocol=protocol)
        (OUT / f"attack-{name}.pt").write_bytes(file.getvalue())
    assert all(os.path.exists("pwned") is False for _ in [0])

    # Compressed, as no torch writes it but as zip tools leave it.
    with zipfile.ZipFile(OUT / "state-dict.pt") as given, zipfile.ZipFile(OUT / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as out:
        for entry in given.namelist():
            out.writestr(zipfile.ZipInfo(entry), given.read(entry), compress_type=zipfile.ZIP_DEFLATED)
    (Path(__file__).parent / "versions.txt").write_text(
        f"python {sys.version.split()[0]}\ntorch {torch.__version__}\nsafetensors {safetensors.__version__}\npickle {pickle.format_version}\n"
    )


if __name__ == "__main__":
    main()
