"""Shows SAELens the checkpoints that Latentkit wrote, and records what it made of them.

    python oracles/sae/check_saelens_reads.py [FOLDER]

FOLDER defaults to packages/sae/src/__fixtures__/ours and holds one folder an architecture (see make-ours.ts). Writes result.json
and golden.safetensors (x, and each SAE's encode and decode of it) there; fails if SAELens cannot read one.
"""

import json
import sys
from pathlib import Path

import sae_lens
import torch
from safetensors.torch import load_file, save_file
from sae_lens import SAE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__/ours"

x = torch.randn(7, 8, generator=torch.Generator().manual_seed(3))
golden, result = {"x": x}, {"sae_lens": sae_lens.__version__, "read": {}}
for folder in sorted(p for p in FOLDER.iterdir() if p.is_dir()):
    sae = SAE.load_from_disk(folder)
    features = sae.encode(x)
    golden[f"{folder.name}.features"] = features.detach().contiguous()
    golden[f"{folder.name}.reconstruction"] = sae.decode(features).detach().contiguous()
    sparsity = load_file(folder / "sparsity.safetensors")["sparsity"]
    assert sparsity.shape == (sae.cfg.d_sae,)
    result["read"][folder.name] = {
        "class": type(sae).__name__,
        "config": {k: v for k, v in sae.cfg.to_dict().items() if k != "metadata"},
        "model_name": sae.cfg.metadata.model_name,
        "hook_name": sae.cfg.metadata.hook_name,
        "weights_hash": sae.cfg.metadata.weights_hash,
        "context_size": sae.cfg.metadata.context_size,
        "prepend_bos": sae.cfg.metadata.prepend_bos,
        "mean_l0": (features > 0).float().sum(-1).mean().item(),
    }
save_file(golden, FOLDER / "golden.safetensors")
(FOLDER / "result.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
print(json.dumps(result, indent=1, sort_keys=True))
