"""Shows PEFT the adapters that Latentkit wrote, and records the logits that they give there.

    python oracles/lora/check_peft_reads.py

Reads packages/lora/src/__fixtures__/ours (see make-ours.ts) and writes golden.safetensors there; fails if PEFT cannot read an adapter,
or warns about it: missing or unexpected weights, fan_in_fan_out. An adapter whose base model has the name of a folder of
packages/models/src/__fixtures__/families is shown on that checkpoint, others on the tiny Llama.
"""

import copy
import json
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
FIXTURES = Path(__file__).resolve().parents[2] / "packages/lora/src/__fixtures__"
FAMILIES = FIXTURES.parents[2] / "models/src/__fixtures__/families"

warnings.simplefilter("error")
warnings.simplefilter("ignore", FutureWarning)  # of transformers, about its own names


def base_of(folder):
    """A model, and the tokens that it is shown."""
    name = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    family = FAMILIES / (name or "none")
    path, file = (family, family / "golden.safetensors") if family.is_dir() else (FIXTURES / "base", FIXTURES / "logits.safetensors")
    model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager", dtype=torch.float32).eval()
    return model, load_file(file)["tokens"].long()


golden = {}
for folder in sorted(p for p in (FIXTURES / "ours").iterdir() if p.is_dir()):
    base, tokens = base_of(folder)
    adapted = PeftModel.from_pretrained(copy.deepcopy(base), folder).eval()
    written = load_file(folder / "adapter_model.safetensors")
    held = {key: value for key, value in adapted.state_dict().items() if "lora_" in key}
    assert {key.replace(".default.weight", ".weight") for key in held} == set(written), folder
    with torch.no_grad():
        golden[folder.name] = adapted(tokens).logits
        base_logits = base(tokens).logits
    assert (golden[folder.name] - base_logits).abs().max() > 0.1
    print(folder.name, len(written), "tensors")
save_file(golden, FIXTURES / "ours" / "golden.safetensors")
