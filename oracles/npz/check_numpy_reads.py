"""Shows numpy the archives that Latentkit wrote, and records what it made of them.

    python oracles/npz/check_numpy_reads.py

Reads ours.npz of packages/loaders (see make-ours.ts) and params.npz of packages/sae (see oracles/sae/make-ours.ts); without pickles, as
numpy does unless told. Writes ours.json beside the first; for the second, compares Gemma Scope's forward pass in numpy with SAELens's
of the same SAE, golden.safetensors.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

packages = Path(__file__).resolve().parents[2] / "packages"
npz = packages / "loaders/src/npz/__fixtures__"
assert zipfile.ZipFile(npz / "ours.npz").testzip() is None
with np.load(npz / "ours.npz") as data:
    read = {
        name: {"dtype": data[name].dtype.str, "shape": list(data[name].shape), "c_order": bool(data[name].flags.c_contiguous),
               "values": [str(v) for v in data[name].astype(np.float64).reshape(-1).tolist()]}
        for name in data.files
    }
(npz / "ours.json").write_text(json.dumps({"numpy": np.__version__, "read": read}, indent=1, ensure_ascii=False) + "\n")

ours = packages / "sae/src/__fixtures__/ours"
golden = load_file(ours / "golden.safetensors")
with np.load(ours / "params.npz") as data:
    assert sorted(data.files) == ["W_dec", "W_enc", "b_dec", "b_enc", "threshold"], data.files
    assert all(data[name].dtype == np.float32 for name in data.files)
    pre = golden["x"] @ data["W_enc"] + data["b_enc"]
    features = np.maximum(pre, 0) * (pre > data["threshold"])
    reconstruction = features @ data["W_dec"] + data["b_dec"]
np.testing.assert_allclose(features, golden["jumprelu.features"], rtol=1e-5, atol=2e-6)
np.testing.assert_allclose(reconstruction, golden["jumprelu.reconstruction"], rtol=1e-5, atol=2e-6)
print("numpy reads both; Gemma Scope's forward pass equals SAELens's:", features.shape, (features > 0).sum(-1).mean())
