"""Goldens for packages/lora: adapters that PEFT wrote, what they do to a tiny Llama, and their training in PyTorch.

    python oracles/lora/make.py packages/lora/src/__fixtures__

Writes `base` (a random Llama), one folder an adapter (`plain`: all seven modules; `rslora`: three modules of one layer, rank-stabilised)
as PEFT saves it, `logits.safetensors` (tokens, the base's logits and those with each adapter), and `training.safetensors`: from the
plain adapter the gradients of the first update and 24 updates by AdamW, computed in f32 and in f64. versions.txt is written beside this
file. Needs torch, transformers, peft, safetensors.
"""

import copy
import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(sys.argv[1])
SETTINGS = dict(steps=24, warmUpSteps=4, microBatches=2, learningRate=0.02, beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.05, maxGradientNorm=0.5)
ADAPTERS = {
    "plain": dict(r=4, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
    "rslora": dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"], layers_to_transform=[1]),
}


def base():
    config = LlamaConfig(
        vocab_size=61, hidden_size=30, intermediate_size=44, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=6,
        max_position_embeddings=32, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, attn_implementation="eager",
    )
    torch.manual_seed(11)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            value.copy_(1 + 0.2 * torch.randn_like(value) if key.endswith("norm.weight") else torch.randn_like(value) / value.shape[-1] ** 0.5)
    model.save_pretrained(OUT / "base")
    (OUT / "base" / "generation_config.json").unlink(missing_ok=True)
    path = OUT / "base" / "config.json"
    written = json.loads(path.read_text())
    written.pop("transformers_version", None)
    path.write_text(json.dumps(written, indent=2) + "\n")
    return model


def adapter(model, name):
    torch.manual_seed(len(name))
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", **ADAPTERS[name])).eval()
    with torch.no_grad():
        for key, value in adapted.named_parameters():
            if "lora_B" in key:
                value.copy_(0.3 * torch.randn_like(value))
    adapted.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink(missing_ok=True)
    path = OUT / name / "adapter_config.json"
    written = json.loads(path.read_text())
    written["target_modules"] = sorted(written["target_modules"])  # PEFT writes a set
    path.write_text(json.dumps(written, indent=2) + "\n")
    return PeftModel.from_pretrained(copy.deepcopy(model), OUT / name).eval()


def data():
    """[micro-batches, 3, 9] tokens and targets: the next token where it is the assistant's, else -100. Rows differ in how many there are."""
    count = SETTINGS["steps"] * SETTINGS["microBatches"]
    tokens = torch.randint(0, 61, (count, 3, 10))
    targets = tokens[..., 1:].clone()
    prompt = torch.randint(2, 8, (count, 3, 1))
    targets[torch.arange(9)[None, None, :] < prompt] = -100
    # Something to learn: targets follow the token before them.
    known = targets != -100
    targets[known] = (tokens[..., :-1][known] * 7 + 3) % 61
    return tokens[..., :-1].contiguous(), targets


def train(adapted, tokens, targets, dtype):
    s = SETTINGS
    model = copy.deepcopy(adapted).to(dtype)
    parameters = {key: value for key, value in model.named_parameters() if "lora_" in key}
    for key, value in model.named_parameters():
        value.requires_grad_("lora_" in key)
    optimiser = torch.optim.AdamW(parameters.values(), lr=s["learningRate"], betas=(s["beta1"], s["beta2"]), eps=s["epsilon"], weight_decay=s["weightDecay"])
    warm, rest = s["warmUpSteps"], s["steps"] - s["warmUpSteps"]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda u: (u + 1) / warm if u < warm else 1 - (u - warm) / rest)
    losses, norms, first = [], [], {}
    for step in range(s["steps"]):
        optimiser.zero_grad()
        chosen = range(step * s["microBatches"], (step + 1) * s["microBatches"])
        total = sum((targets[i] != -100).sum() for i in chosen)
        loss = 0
        for i in chosen:
            logits = model(tokens[i]).logits
            part = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[i].flatten(), reduction="sum") / total
            part.backward()
            loss += part.item()
        if step == 0:
            first = {clean(key): value.grad.detach().float().clone() for key, value in parameters.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), s["maxGradientNorm"]).item())
        optimiser.step()
        schedule.step()
        losses.append(loss)
    return losses, norms, first, {clean(key): value.detach().float().clone() for key, value in parameters.items()}


def clean(key):
    return key.replace("base_model.model.", "").replace(".default.weight", "")


def main():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    model = base()
    tokens = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        golden = {"tokens": tokens.to(torch.int32), "base": model(tokens).logits}
        adapted = {name: adapter(model, name) for name in ADAPTERS}
        for name, one in adapted.items():
            golden[name] = one(tokens).logits
            assert (golden[name] - golden["base"]).abs().max() > 0.1
    save_file(golden, OUT / "logits.safetensors")

    torch.manual_seed(17)
    tokens, targets = data()
    training = {"tokens": tokens.to(torch.int32), "targets": targets.to(torch.int32)}
    for dtype, label in ((torch.float32, "f32"), (torch.float64, "f64")):
        losses, norms, first, last = train(adapted["plain"], tokens, targets, dtype)
        for name, values in (("losses", losses), ("norms", norms)):
            training[f"{label}.{name}"] = torch.tensor(values, dtype=torch.float32)
        if label == "f64":
            training |= {f"gradient.{key}": value for key, value in first.items()}
            training |= {f"last.{key}": value for key, value in last.items()}
        print(label, f"{losses[0]:.6f} to {losses[-1]:.6f}, norm {norms[0]:.4f} to {norms[-1]:.4f}")
    save_file(training, OUT / "training.safetensors", metadata={"settings": json.dumps(SETTINGS)})
    names = ["torch", "transformers", "peft", "safetensors"]
    (Path(__file__).parent / "versions.txt").write_text("".join(f"{name} {version(name)}\n" for name in names))


main()
