"""A golden of the safetensors reader and writer: a file by Hugging Face's own writer, and the values that are in it.

    python oracles/safetensors/make.py
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

here = Path(__file__).parent
out = here.parent.parent / "packages" / "loaders" / "src" / "__fixtures__"
out.mkdir(exist_ok=True)
torch.manual_seed(20260704)

floats = torch.tensor([0.0, -0.0, 1.0, -1.5, 65504.0, 1e-7, 6e-8, 3.14159, float("inf"), float("-inf"), 1e-40, 0.1])
tensors = {
    "b.f32": floats.reshape(3, 4),
    "a.f32": torch.randn(2, 3),
    "f16": floats.half().reshape(2, 2, 3),
    "bf16": floats.bfloat16(),
    "i32": torch.tensor([[-(2**31), -1, 0, 2**31 - 1]], dtype=torch.int32),
    "u8": torch.tensor([0, 1, 255], dtype=torch.uint8),
    "scalar": torch.tensor(2.5),
    "nothing": torch.zeros(0, 5),
    "ünïcode \"quoted\"": torch.ones(1),
}
save_file(tensors, out / "reference.safetensors", metadata={"format": "pt"})
wide = {
    "f64": torch.tensor([0.1, -2.0], dtype=torch.float64),
    "i64": torch.tensor([-(2**31), 5], dtype=torch.int64),
    "i16": torch.tensor([-32768, 32767], dtype=torch.int16),
    "i8": torch.tensor([-128, 127], dtype=torch.int8),
    "bool": torch.tensor([True, False]),
}
save_file(wide, out / "wide.safetensors")
values = {name: {"shape": list(t.shape), "values": [str(v) for v in t.double().reshape(-1).tolist()]} for name, t in {**tensors, **wide}.items()}
(out / "reference.json").write_text(json.dumps(values, indent=1) + "\n")
versions = [f"python {platform.python_version()}", f"torch {version('torch')}", f"safetensors {version('safetensors')}"]
(here / "versions.txt").write_text("\n".join(versions) + "\n")
