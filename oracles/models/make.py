"""Goldens for packages/models: logits and every hook site of Llama models, from PyTorch in f32.

  python oracles/models/make.py tiny  --out packages/models/src/__fixtures__
  python oracles/models/make.py real  --out packages/models/src/__fixtures__ --models FOLDER_OF_THE_GGUF
  python oracles/models/make.py greedy --out packages/models/src/__fixtures__ --models FOLDER_OF_THE_GGUF

`tiny` makes two random checkpoints (grouped queries; one tied, one not) and takes each site from TransformerLens's
HookedTransformer, loaded with the same raw weights (no folding), after asserting that its logits equal transformers'.
`real` takes logits, hidden states and greedy tokens of SmolLM2-135M-Instruct from transformers on the dequantised GGUF.
`greedy` takes 200 greedy tokens of it with the margin by which each was chosen.
Needs torch, transformers, transformer-lens, gguf, safetensors; the versions used are written to versions.txt.
"""

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
from hooked_llama import hooked_llama  # noqa: E402

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
TEXT = (
    "The harbour was quiet at dawn. Nets hung from the posts, and three boats, 17 metres long, lay against the "
    "stone wall where the ferry used to stop. Nobody spoke: the old captain, who had sailed since 1962, counted "
    "the ropes twice, wrote the number into a small blue book, and walked home before the rain began to fall on "
    "the roofs of the village."
)
STORY = "Tell me a story about a lighthouse keeper and a storm."
QUESTION = "Why do leaves change colour in autumn?"


def parameters(name, out):
    """The tiny checkpoints: sizes with nothing in common, so that a swapped axis cannot go unseen."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tied = name == "tiny-tied"
    config = LlamaConfig(
        vocab_size=83 if tied else 61,
        hidden_size=36 if tied else 32,
        intermediate_size=44 if tied else 52,
        num_hidden_layers=3 if tied else 2,
        num_attention_heads=6 if tied else 4,
        num_key_value_heads=2 if tied else 1,
        head_dim=10 if tied else 8,
        max_position_embeddings=48,
        rms_norm_eps=1e-5 if tied else 1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0 if tied else 500.0},
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2 if tied else [2, 5],
        attn_implementation="eager",
    )
    torch.manual_seed(7 if tied else 8)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if key.endswith("norm.weight"):
                value.copy_(1 + 0.3 * torch.randn_like(value))
            else:
                value.copy_(torch.randn_like(value) * (1.6 if "proj" in key else 1.0) / value.shape[-1] ** 0.5)
    model.save_pretrained(out / name)
    (out / name / "generation_config.json").unlink(missing_ok=True)
    path = out / name / "config.json"
    written = json.loads(path.read_text())
    written.pop("transformers_version", None)
    if tied:
        # The tied one is spelled as transformers 4 writes it, the other as transformers 5 does.
        rope = written.pop("rope_parameters")
        written |= {"rope_theta": rope["rope_theta"], "rope_scaling": None}
    path.write_text(json.dumps(written, indent=2) + "\n")
    return model


def tiny(out):
    for name in ("tiny-tied", "tiny-untied"):
        model = parameters(name, out)
        tokens = torch.randint(0, model.config.vocab_size, (2, 11), generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            expected = model(tokens).logits
            hooked = hooked_llama(model)
            logits, cache = hooked.run_with_cache(tokens)
            # Apart, since it takes another way to the output of attention, which differs in rounding.
            hooked.set_use_attn_result(True)
            _, results = hooked.run_with_cache(tokens, names_filter=lambda site: site.endswith("hook_result"))
            greedy = model.generate(tokens[:1], max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)
        difference = ((logits - expected).abs().max() / expected.std()).item()
        assert difference < 1e-5, difference
        golden = {"tokens": tokens.to(torch.int32), "logits": expected, "greedy": greedy[0, 11:].to(torch.int32)}
        for site, value in [*cache.items(), *results.items()]:
            golden[site] = value.contiguous().clone()
        save_file(golden, out / f"{name}.golden.safetensors")
        print(name, len(golden), "tensors; TransformerLens against transformers:", difference)


def real(out, models):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models, gguf_file=GGUF)
    model = AutoModelForCausalLM.from_pretrained(models, gguf_file=GGUF, dtype=torch.float32).eval()
    golden = {}

    def chat(question):
        messages = [{"role": "user", "content": question}]
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=False)

    text = tokenizer(TEXT, return_tensors="pt", add_special_tokens=False).input_ids[:, :64]
    assert text.shape[1] == 64, text.shape
    prompts = {"text": (text, [0, 31, 63]), "chat": (chat("What is the capital of France?"), [-1])}
    for name, (ids, full) in prompts.items():
        with torch.no_grad():
            result = model(ids, output_hidden_states=True)
        logits = result.logits[0]
        top = logits.topk(256, dim=-1)
        golden |= {
            f"{name}.tokens": ids[0].to(torch.int32),
            f"{name}.std": logits.std().reshape(1),
            f"{name}.logsumexp": logits.logsumexp(-1),
            f"{name}.fullPositions": torch.tensor([p % ids.shape[1] for p in full], dtype=torch.int32),
            f"{name}.fullLogits": logits[full],
        }
        if name == "text":
            golden |= {"text.topLogits": top.values, "text.topIds": top.indices.to(torch.int32)}
            places = [0, 1, 30, 63]
            golden["text.hiddenPositions"] = torch.tensor(places, dtype=torch.int32)
            # hidden_states[l] enters layer l; the last entry is after the final norm, so layer 29's output is not among them.
            for layer in (0, 9, 14, 28):
                golden[f"text.blocks.{layer}.hook_resid_post"] = result.hidden_states[layer + 1][0, places]
            golden["text.final"] = result.hidden_states[-1][0, places]
    for name, ids, count in (
        ("generate.chat", prompts["chat"][0], 24),
        ("generate.question", chat(QUESTION), 48),
        ("generate.text", text[:, :32], 40),
    ):
        with torch.no_grad():
            new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
        new = new[0, ids.shape[1] :]
        golden |= {f"{name}.prompt": ids[0].to(torch.int32), f"{name}.tokens": new.to(torch.int32)}
        print(name, repr(tokenizer.decode(new)))
    save_file({key: value.contiguous().clone() for key, value in golden.items()}, out / "smollm2.golden.safetensors")


def greedy(out, models):
    """200 tokens of a story, past any end token. Margins are in logits, of each chosen token before the second best."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models, gguf_file=GGUF)
    model = AutoModelForCausalLM.from_pretrained(models, gguf_file=GGUF, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    messages = [{"role": "user", "content": STORY}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=False)
    with torch.no_grad():
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=200,
            do_sample=False,
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
    tokens = made.sequences[0, ids.shape[1] :]
    assert len(tokens) == 200, len(tokens)
    best = torch.cat(made.logits).topk(2, dim=-1).values
    margins = best[:, 0] - best[:, 1]
    print(f"least margin {margins.min():.5f} at {margins.argmin()}", repr(tokenizer.decode(tokens)))
    golden = {"prompt": ids[0].to(torch.int32), "tokens": tokens.to(torch.int32), "margins": margins}
    save_file({key: value.contiguous().clone() for key, value in golden.items()}, out / "smollm2-greedy.golden.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tiny", "real", "greedy"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", default=os.environ.get("LATENTKIT_MODELS"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    tiny(args.out) if args.what == "tiny" else {"real": real, "greedy": greedy}[args.what](args.out, args.models)
    packages = ["torch", "transformers", "transformer-lens", "gguf", "safetensors", "numpy"]
    text = "".join(f"{name} {version(name)}\n" for name in packages)
    (Path(__file__).parent / "versions.txt").write_text(text)


main()
