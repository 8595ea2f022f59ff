"""Shows PEFT the adapters that Latentkit wrote, and records the logits that they give there.

    python oracles/lora/check_peft_reads.py

Reads packages/lora/src/__fixtures__/ours (see make-ours.ts) and writes golden.safetensors there; fails if PEFT cannot read an adapter,
or warns about missing or unexpected weights.
"""

import copy
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

FIXTURES = Path(__file__).resolve().parents[2] / "packages/lora/src/__fixtures__"

warnings.simplefilter("error")
warnings.simplefilter("ignore", FutureWarning)  # of transformers, about its own names
tokens = load_file(FIXTURES / "logits.safetensors")["tokens"].long()
base = LlamaForCausalLM.from_pretrained(FIXTURES / "base", attn_implementation="eager").eval()
golden = {}
for folder in sorted(p for p in (FIXTURES / "ours").iterdir() if p.is_dir()):
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
