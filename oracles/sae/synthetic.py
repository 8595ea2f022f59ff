"""Goldens of synthetic worlds: SAELens's firing probabilities, magnitudes, hierarchies, orthogonalised directions, and its metrics.

    python oracles/sae/synthetic.py [OUT]

OUT defaults to packages/sae/src/__fixtures__. Writes synthetic.json. Seed 0; versions as in versions.txt. Needs sae-lens.
"""

import json
import sys
from pathlib import Path

import torch
from scipy.stats import norm
from sae_lens.synthetic.evals import compute_classification_metrics, feature_uniqueness, mean_correlation_coefficient
from sae_lens.synthetic.feature_dictionary import orthogonalize_embeddings
from sae_lens.synthetic.firing_magnitudes import ExponentialMagnitudeConfig, LinearMagnitudeConfig
from sae_lens.synthetic.firing_probabilities import linear_firing_probabilities, zipfian_firing_probabilities
from sae_lens.synthetic.hierarchy import HierarchyConfig, generate_hierarchy

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__"


def plain(t):
    return [float(f"{v:.7g}") for v in t.detach().flatten().tolist()]


def tree(node):
    children = [tree(child) for child in node.children]
    return {"feature": node.feature_index, **({"children": children} if children else {}), **({"exclusive": True} if node.mutually_exclusive_children else {})}


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    forest = generate_hierarchy(20, HierarchyConfig(total_root_nodes=3, branching_factor=2, max_depth=2, mutually_exclusive_portion=1.0), seed=0)
    base = zipfian_firing_probabilities(20, exponent=0.5, max_prob=0.4, min_prob=0.05)
    start = torch.randn(7, 4)
    start = ((start / start.norm(dim=1, keepdim=True)) * 1000).round() / 1000
    features, decoder = torch.randn(6, 4), torch.randn(9, 4)
    decoder[:4] = features[:4] * 2 + 0.05 * decoder[:4]
    acts = torch.randn(40, 6).relu() * (torch.rand(40, 6) < 0.4)
    latents = torch.cat([acts[:, :4] * (torch.rand(40, 4) < 0.8), torch.randn(40, 5) * (torch.rand(40, 5) < 0.2)], 1)
    latents[:, 8] = 0
    metrics = compute_classification_metrics(latents, acts, decoder, features)
    result = {
        "zipf": plain(base),
        "linear": plain(linear_firing_probabilities(5, max_prob=0.3, min_prob=0.1)),
        "magnitudes": {"linear": plain(LinearMagnitudeConfig(start=5.0, end=4.0).generate(6)), "exponential": plain(ExponentialMagnitudeConfig(start=4.0, end=0.5).generate(6))},
        "quantiles": [[p, float(norm.ppf(p))] for p in (1e-12, 1e-4, 0.02, 0.07, 0.3, 0.5, 0.8, 0.975, 0.99999)],
        "hierarchy": {"trees": [tree(root) for root in forest.roots], "corrections": plain(forest.compute_probability_correction_factors(base))},
        "orthogonal": {"before": plain(start), "after": plain(orthogonalize_embeddings(start))},
        "metrics": {
            "features": plain(features), "decoder": plain(decoder), "acts": plain(acts), "latents": plain(latents),
            "mcc": mean_correlation_coefficient(decoder, features), "uniqueness": feature_uniqueness(decoder, features),
            "precision": metrics.precision, "recall": metrics.recall, "f1": metrics.f1_score, "accuracy": metrics.accuracy,
        },
    }
    (OUT / "synthetic.json").write_text(json.dumps(result, separators=(",", ":")))
    print(result["hierarchy"], result["metrics"]["mcc"])


if __name__ == "__main__":
    main()
