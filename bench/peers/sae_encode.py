"""Seconds that SAELens takes to encode a batch by an SAE for inference with random unit rows.

Prints one JSON line: {"peer": name and versions, "seconds": [one per round, after one that is not counted], "l0": latents a row}.
"""

import argparse
import json

import sae_lens
import torch
from clock import THREADS, now
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig, TopKSAE, TopKSAEConfig


def make_sae(options: argparse.Namespace):
    common = dict(d_in=options.d_in, d_sae=options.d_sae, device="cpu", dtype="float32")
    if options.architecture == "topk":
        sae = TopKSAE(TopKSAEConfig(k=options.k, rescale_acts_by_decoder_norm=False, **common))
    else:
        sae = JumpReLUSAE(JumpReLUSAEConfig(**common))
        sae.threshold.data.fill_(options.threshold)
    rows = torch.randn(options.d_sae, options.d_in)
    rows /= rows.norm(dim=1, keepdim=True)
    sae.W_dec.data.copy_(rows)
    sae.W_enc.data.copy_(rows.T)
    return sae


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--architecture", choices=["topk", "jumprelu"], required=True)
    for name in ("d-in", "d-sae", "batch", "rounds", "k"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--threshold", type=float, required=True)
    options = parser.parse_args()

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    sae = make_sae(options)
    x = torch.randn(options.batch, options.d_in) / options.d_in**0.5
    seconds = []
    l0 = 0.0
    with torch.inference_mode():
        for turn in range(options.rounds + 1):
            start = now()
            acts = sae.encode(x)
            if turn > 0:
                seconds.append(now() - start)
            l0 = (acts > 0).sum(-1, dtype=torch.float32).mean().item()
    name = f"SAELens {sae_lens.__version__}, PyTorch {torch.__version__.split('+')[0]}, {THREADS} threads"
    print(json.dumps({"peer": name, "seconds": seconds, "l0": l0}))


if __name__ == "__main__":
    main()
