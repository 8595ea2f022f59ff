"""Goldens for packages/lora on every model family: adapters that PEFT wrote on the small checkpoints of packages/models.

    python oracles/lora/families.py [--only NAME ...]

Reads packages/models/src/__fixtures__/families/NAME (see oracles/models/families.py) and writes for each case
packages/lora/src/__fixtures__/families/NAME: the adapter as PEFT saves it, with random factors, and golden.safetensors with `logits`
(f32, of the checkpoint's `tokens`), `loss` (of the next token, f64) and `gradient.MODULE.lora_A` and `.lora_B` (f64, kept as f32).

Fused matrices (GPT-2's c_attn, GPT-NeoX's query_key_value) are one module to PEFT, and GPT-2's Conv1D weights are [in, out]. Needs
torch, transformers, peft, safetensors; versions in versions.txt. Seed: the number of the case.
"""

import argparse
import copy
import json
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
warnings.simplefilter("ignore")  # of PEFT, that it sets fan_in_fan_out for Conv1D

ROOT = Path(__file__).resolve().parents[2] / "packages"
BASES = ROOT / "models/src/__fixtures__/families"
OUT = ROOT / "lora/src/__fixtures__/families"
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# The checkpoint, and what PEFT is asked for.
CASES = {
    "gpt2": ("gpt2", dict(target_modules=["c_attn", "c_proj", "c_fc"])),
    "gpt2-some": ("gpt2-variants", dict(target_modules=["attn.c_proj", "c_fc"], layers_to_transform=[1])),
    "gpt-neox": ("gpt-neox", dict(target_modules=["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"])),
    "gpt-neox-all-linear": ("gpt-neox-sequential", dict(target_modules="all-linear", use_rslora=True)),
    "mistral": ("mistral", dict(target_modules=LLAMA)),
    "qwen2": ("qwen2", dict(target_modules=["k_proj", "v_proj", "mlp.up_proj"])),
    "qwen3": ("qwen3", dict(target_modules=LLAMA)),
    "olmo2": ("olmo2", dict(target_modules=LLAMA)),
    "gemma2": ("gemma2", dict(target_modules=r".*\.(0|2)\.(self_attn|mlp)\.(q_proj|o_proj|gate_proj)")),
    "gemma3": ("gemma3", dict(target_modules=["q_proj", "o_proj", "down_proj"], layers_to_transform=[4, 5, 6])),
}


def write(name, seed):
    folder, settings = CASES[name]
    base = AutoModelForCausalLM.from_pretrained(BASES / folder, attn_implementation="eager", dtype=torch.float32).eval()
    tokens = load_file(BASES / folder / "golden.safetensors")["tokens"].long()
    torch.manual_seed(seed)
    made = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=3, **settings)).eval()
    with torch.no_grad():
        for key, value in made.named_parameters():
            if "lora_B" in key:
                value.copy_(0.3 * torch.randn_like(value))
    made.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink(missing_ok=True)
    path = OUT / name / "adapter_config.json"
    written = json.loads(path.read_text())
    written["base_model_name_or_path"] = folder  # not where it lay
    if isinstance(written["target_modules"], list):
        written["target_modules"] = sorted(written["target_modules"])  # PEFT writes a set
    path.write_text(json.dumps(written, indent=2) + "\n")

    adapted = PeftModel.from_pretrained(base, OUT / name).eval()
    with torch.no_grad():
        golden = {"logits": adapted(tokens).logits.contiguous()}
    adapted = adapted.double()
    factors = {key: value.requires_grad_() for key, value in adapted.named_parameters() if "lora_" in key}
    logits = adapted(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    golden["loss"] = loss.detach().float().reshape(1)
    for key, value in factors.items():
        golden["gradient." + key.replace("base_model.model.", "").replace(".default.weight", "")] = value.grad.float()
    # In f32 and in f64 alike, but for rounding.
    assert (logits.float() - golden["logits"]).abs().max() < 1e-3
    save_file(golden, OUT / name / "golden.safetensors")
    print(name, written["target_modules"], "fan_in_fan_out", written["fan_in_fan_out"], len(factors), "factors")


parser = argparse.ArgumentParser()
parser.add_argument("--only", nargs="*", default=list(CASES))
for case in parser.parse_args().only:
    write(case, list(CASES).index(case))
