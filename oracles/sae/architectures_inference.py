"""Goldens of inference with the architectures beside TopK and JumpReLU: SAELens's own transcoders, AbsTopK and matching pursuit.

    python oracles/sae/architectures_inference.py [OUT]

OUT defaults to packages/sae/src/__fixtures__. Writes inference.json: for each case its sizes, tensors by SAELens's names, inputs, latents and
outputs. Seed 0; versions as in versions.txt.
"""

import json
import sys
from pathlib import Path

import torch
from sae_lens.saes.abstopk_sae import AbsTopKSAE, AbsTopKSAEConfig
from sae_lens.saes.matching_pursuit_sae import MatchingPursuitSAE, MatchingPursuitSAEConfig
from sae_lens.saes.transcoder import (
    JumpReLUSkipTranscoder,
    JumpReLUSkipTranscoderConfig,
    JumpReLUTranscoder,
    JumpReLUTranscoderConfig,
    SkipTranscoder,
    SkipTranscoderConfig,
    Transcoder,
    TranscoderConfig,
)

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__"
D, O, F, N = 6, 5, 14, 10


def rounded(t):
    """Three decimals, so that the file stays small and every reader starts from the same f32."""
    return ((t * 1000).round() / 1000).float()


def plain(t):
    """Seven digits, which give the same f32 back."""
    return [float(f"{v:.7g}") for v in t.flatten().tolist()]


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = {}
    transcoders = {
        "transcoder": (Transcoder, TranscoderConfig),
        "skip_transcoder": (SkipTranscoder, SkipTranscoderConfig),
        "jumprelu_transcoder": (JumpReLUTranscoder, JumpReLUTranscoderConfig),
        "jumprelu_skip_transcoder": (JumpReLUSkipTranscoder, JumpReLUSkipTranscoderConfig),
    }
    common = {"d_in": D, "d_sae": F, "dtype": "float32", "device": "cpu", "normalize_activations": "none"}
    saes = {
        name: make(config(**common, d_out=O, apply_b_dec_to_input=False)) for name, (make, config) in transcoders.items()
    } | {
        "abstopk": AbsTopKSAE(AbsTopKSAEConfig(**common, k=4, rescale_acts_by_decoder_norm=False, apply_b_dec_to_input=True)),
        "matching_pursuit": MatchingPursuitSAE(MatchingPursuitSAEConfig(**common, residual_threshold=0.3, apply_b_dec_to_input=True)),
        "matching_pursuit-limited": MatchingPursuitSAE(
            MatchingPursuitSAEConfig(**common, residual_threshold=0, max_iterations=3, stop_on_duplicate_support=False, apply_b_dec_to_input=True)
        ),
    }
    for name, sae in saes.items():
        with torch.no_grad():
            for key, parameter in sae.named_parameters():
                drawn = torch.randn_like(parameter) * 0.5
                # Unit rows, as matching pursuit wants them; what rounding leaves of the norm is the same for both.
                if key == "W_dec" and name.startswith("matching"):
                    drawn = drawn / drawn.norm(dim=1, keepdim=True)
                parameter.copy_(rounded(drawn.abs() if key == "threshold" else drawn))
            x = rounded(torch.randn(N, D))
            acts, out = sae.encode(x), sae(x)
        cases[name] = {
            "architecture": sae.cfg.architecture(),
            "config": {k: v for k, v in sae.cfg.to_dict().items() if k in ("k", "residual_threshold", "max_iterations", "stop_on_duplicate_support")},
            "tensors": {key: {"shape": list(p.shape), "values": plain(p)} for key, p in sae.named_parameters()},
            "x": plain(x),
            "acts": plain(acts),
            "out": plain(out),
        }
        print(name, list(cases[name]["tensors"]), (acts != 0).sum(1).tolist())
    result = {"dIn": D, "dOut": O, "dSae": F, "rows": N, "cases": cases}
    (OUT / "inference.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
