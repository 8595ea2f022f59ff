"""Shows SAELens what oracles/sae/convert-formats.ts wrote, and notes the bytes that it was shown.

    python oracles/sae/check_converted.py OUT

Each SAE must give the features and the reconstruction of the checkpoint that it was converted from, which are in
packages/sae/src/__fixtures__/formats/golden.safetensors. Transcoders with TopK latents, which SAELens has not, must be refused by it. Writes
formats/converted.json beside the golden: a test compares today's bytes with those. Needs sae-lens.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from sae_lens import SAE

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ROOT / "packages/sae/src/__fixtures__/formats"
torch.set_num_threads(1)


def main():
    out = Path(sys.argv[1])
    golden = load_file(FORMATS / "golden.safetensors")
    x = golden["x"]
    result = {}
    for config in sorted(out.rglob("cfg.json")):
        folder = config.parent
        name = folder.relative_to(out).as_posix()
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
        architecture = json.loads(config.read_text())["architecture"]
        if architecture.startswith("topk_"):
            try:
                SAE.load_from_disk(folder)
            except KeyError as error:
                result[name] = {"class": None, "refused": str(error), "files": files}
                continue
            raise AssertionError(name)
        sae = SAE.load_from_disk(folder)
        if sae.cfg.reshape_activations == "hook_z":
            sae.turn_off_forward_pass_hook_z_reshaping()
        with torch.no_grad():
            features = sae.encode(x)
            decoded = sae(x) if hasattr(sae, "W_skip") else sae.decode(features)
        assert torch.allclose(features, golden[f"{name}.features"], rtol=1e-5, atol=1e-5), name
        assert torch.allclose(decoded, golden[f"{name}.reconstruction"], rtol=1e-5, atol=1e-5), name
        result[name] = {"class": type(sae).__name__, "files": files}
    (FORMATS / "converted.json").write_text(json.dumps(result, indent=1) + "\n")
    print(len(result), "read")


if __name__ == "__main__":
    main()
