"""Hugging Face transformers loads the embedded model's folder, and its logits become a golden.

    python oracles/tiny/check_transformers.py [OUT]

Reads packages/tiny/data/base; OUT defaults to packages/tiny/src/__fixtures__. For each prompt: the ids by transformers' tokenizer, and at
every position the log-partition, the best token and the logits of 16 fixed tokens, all in f32 from the f16 weights.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packages/tiny/data/base"
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/tiny/src/__fixtures__"
PROMPTS = [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune",
    "Once more, the words were: coin, suns, donkeys, salt.",
    "<|im_start|>user\nTell me about the moon.<|im_end|>\n<|im_start|>assistant\n",
    "Chapter One\n\nThe year was 1840 \u2014 caf\u00e9, \u732b, \U0001f600.",
]

if __name__ == "__main__":
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    fixed = list(range(0, model.config.vocab_size, model.config.vocab_size // 16))[:16]
    cases = []
    for text in PROMPTS:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        greedy = model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False, eos_token_id=None)[0, len(ids):]
        cases.append({
            "text": text,
            "ids": ids,
            "logPartition": [round(v, 5) for v in logits.double().logsumexp(-1).tolist()],
            "best": logits.argmax(-1).tolist(),
            "logits": [[round(v, 5) for v in row] for row in logits[:, fixed].tolist()],
            "std": logits.std().item(),
            "greedy": greedy.tolist(),
        })
    chat = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A helper."}]
    golden = {"fixed": fixed, "cases": cases, "chat": {"messages": chat, "text": tokenizer.apply_chat_template(chat, tokenize=False)}}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "transformers.json").write_text(json.dumps(golden) + "\n")
    (Path(__file__).parent / "versions.txt").write_text(
        f"python {sys.version.split()[0]}\ntorch {torch.__version__}\ntransformers {transformers.__version__}\n")
    print(len(cases), "prompts;", sum(len(c["ids"]) for c in cases), "tokens")
