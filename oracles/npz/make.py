"""Goldens of the .npz reader: archives by numpy itself, and the values that are in them.

    python oracles/npz/make.py

Writes into packages/loaders/src/npz/__fixtures__: stored.npz (numpy.savez), deflated.npz (numpy.savez_compressed), version-2.npz (a
header of format 2.0), and what must be refused: fortran.npz, objects.npz, integers.npz, fields.npz, big-endian.npz. values.json has the
numbers.
"""

import io
import json
import platform
import zipfile
from pathlib import Path

import numpy as np

here = Path(__file__).parent
out = here.parents[1] / "packages" / "loaders" / "src" / "npz" / "__fixtures__"
out.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(20261127)
edge = np.array([0.0, -0.0, 1.0, -1.5, 65504.0, 1e-7, 6e-8, 3.14159, 0.1], dtype=np.float32)
arrays = {
    "W_enc": random.standard_normal((3, 5)).astype(np.float32),
    "half": random.standard_normal((2, 2, 3)).astype(np.float16),
    "double": np.array([0.1, -2.0], dtype=np.float64),
    "edge": edge,
    "scalar": np.float32(2.5),
    "nothing": np.zeros((0, 5), dtype=np.float32),
    "repeats": np.zeros((40, 50), dtype=np.float32),
    # One axis is in both orders; numpy marks this one as Fortran's where the other has size 1.
    "column": np.asfortranarray(random.standard_normal((4, 1)).astype(np.float32)),
    "ünïcode": np.ones(1, dtype=np.float16),
}
np.savez(out / "stored.npz", **arrays)
np.savez_compressed(out / "deflated.npz", **arrays)

with zipfile.ZipFile(out / "version-2.npz", "w") as archive:
    content = io.BytesIO()
    np.lib.format.write_array(content, arrays["W_enc"], version=(2, 0))
    archive.writestr("W_enc.npy", content.getvalue())

np.savez(out / "fortran.npz", W_enc=np.asfortranarray(arrays["W_enc"]))
# Its pickle would make a file; nobody may ever run it.
class Trap:
    def __reduce__(self):
        return (open, ("npz-trap-was-run", "w"))

np.savez(out / "objects.npz", trap=np.array([Trap()], dtype=object))
np.savez(out / "integers.npz", k=np.array(32))
np.savez(out / "fields.npz", table=np.zeros(2, dtype=[("a", "<f4"), ("b", "<f4")]))
np.savez(out / "big-endian.npz", W_enc=arrays["W_enc"].astype(">f4"))

values = {
    name: {"shape": list(np.shape(array)), "dtype": {"float16": "f16", "float32": "f32", "float64": "f64"}[str(array.dtype)],
           "values": [str(v) for v in np.asarray(array, dtype=np.float64).reshape(-1).tolist()]}
    for name, array in arrays.items()
}
(out / "values.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
versions = [f"python {platform.python_version()}", f"numpy {np.__version__}"]
(here / "versions.txt").write_text("\n".join(versions) + "\n")
