"""Seconds per training step of a Llama in PyTorch: transformers' model with scaled_dot_product_attention, mean cross entropy, clipping,
fused AdamW.

Prints one JSON line: {"peer": name and versions, "seconds": [one per step], "loss": of the last step}.
"""

import argparse
import json
import time

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("layers", "d-model", "heads", "kv-heads", "d-head", "d-mlp", "vocabulary", "context", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()

    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    config = LlamaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.d_model,
        intermediate_size=options.d_mlp,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.kv_heads,
        head_dim=options.d_head,
        max_position_embeddings=options.context,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config).train()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=0.1), dict(params=others, weight_decay=0.0)], lr=1e-3, betas=(0.9, 0.95), fused=True
    )
    seconds = []
    loss = torch.zeros(())
    for step in range(options.steps + 1):
        tokens = torch.randint(options.vocabulary, (options.batch, options.context + 1))
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        loss.item()
        if step > 0:  # the first pays for allocation
            seconds.append(time.perf_counter() - start)
    name = f"transformers {transformers.__version__}, PyTorch {torch.__version__.split('+')[0]}"
    print(json.dumps({"peer": name, "seconds": seconds, "loss": loss.item()}))


if __name__ == "__main__":
    main()
