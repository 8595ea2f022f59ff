"""SAELens's architectures on the synthetic world that synthetic-table.ts left in FOLDER, measured by SAELens's own evaluation.

    python oracles/sae/synthetic_table.py FOLDER [KIND...]

The same rows in the same order, the same penalties, k, learning rate, warm-ups and decay; what differs is what SAELens does otherwise:
initial norms (but JumpReLU's), free decoder rows, gradient clipping to 1, its AuxK, and sums over Matryoshka's prefixes. All kinds where none
is named. Writes FOLDER/saelens.json. Seed 0.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.abstopk_sae import AbsTopKTrainingSAE, AbsTopKTrainingSAEConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.gated_sae import GatedTrainingSAE, GatedTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.matching_pursuit_sae import MatchingPursuitTrainingSAE, MatchingPursuitTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.synthetic.evals import eval_sae_on_synthetic_data
from sae_lens.training.sae_trainer import SAETrainer

FOLDER = Path(sys.argv[1])
WORLD = json.loads((FOLDER / "world.json").read_text())
D, F, K = WORLD["dIn"], WORLD["features"], WORLD["k"]


def floats(name, width):
    return torch.from_numpy(np.fromfile(FOLDER / name, dtype=np.float32).reshape(-1, width))


class Truth:
    """The held-out rows as SAELens's evaluation wants them: a dictionary and a generator."""

    def __init__(self):
        self.feature_vectors = floats("directions.f32", D)
        self.features, self.rows = floats("features.f32", F), floats("held-out.f32", D)

    def sample(self, count):
        return self.features[:count]

    def __call__(self, features):
        return self.rows[: len(features)]


COMMON = {"d_in": D, "d_sae": F, "dtype": "float32", "device": "cpu", "normalize_activations": "none", "apply_b_dec_to_input": True}
# Encoder rows of unit norm: thresholds and bandwidth, as ours, are for pre-activations of that size. From SAELens's 0.1, hardly any would pass.
JUMP = {"l0_warm_up_steps": 200, "jumprelu_bandwidth": 0.1, "jumprelu_init_threshold": 0.1, "decoder_init_norm": 1.0}


def gated(sparsity=0.5, **changes):
    return GatedTrainingSAEConfig(**COMMON, l1_coefficient=sparsity, l1_warm_up_steps=200, **changes)


def jump(sparsity=0.04, **changes):
    return JumpReLUTrainingSAEConfig(**{**COMMON, **JUMP, **changes}, l0_coefficient=sparsity)


KINDS = {
    "april-2024": lambda: StandardTrainingSAE(StandardTrainingSAEConfig(**COMMON, l1_coefficient=0.45, l1_warm_up_steps=200)),
    "gated": lambda: GatedTrainingSAE(gated()),
    "jumprelu": lambda: JumpReLUTrainingSAE(jump()),
    "jumprelu quadratic": lambda: JumpReLUTrainingSAE(jump(0.02, jumprelu_sparsity_loss_mode="quadratic", target_l0=K)),
    "topk": lambda: TopKTrainingSAE(TopKTrainingSAEConfig(**COMMON, k=K)),
    "abstopk": lambda: AbsTopKTrainingSAE(AbsTopKTrainingSAEConfig(**COMMON, k=K)),
    "batchtopk": lambda: BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**COMMON, k=K)),
    "matryoshka_batchtopk": lambda: MatryoshkaBatchTopKTrainingSAE(
        MatryoshkaBatchTopKTrainingSAEConfig(**COMMON, k=K, matryoshka_widths=[F // 4, F // 2, F])
    ),
    "matching_pursuit": lambda: MatchingPursuitTrainingSAE(
        MatchingPursuitTrainingSAEConfig(**COMMON, max_iterations=K + 2, residual_threshold=0.3, decoder_init_norm=1.0)
    ),
}


def trained(sae, rows, before_fit=lambda trainer: None):
    """The SAE after all rows; `before_fit` may change its trainer."""
    steps, batch = WORLD["steps"], WORLD["batchSize"]
    config = SAETrainerConfig(
        n_checkpoints=0, checkpoint_path=None, save_final_checkpoint=False, total_training_samples=steps * batch, device="cpu", autocast=False,
        lr=3e-3, lr_end=3e-4, lr_scheduler_name="constant", lr_warm_up_steps=100, adam_beta1=0.9, adam_beta2=0.999, lr_decay_steps=steps // 5,
        n_restart_cycles=1, train_batch_size_samples=batch, dead_feature_window=80, feature_sampling_window=2000,
        logger=LoggingConfig(log_to_wandb=False, eval_every_n_wandb_logs=2**31 - 1), n_batches_for_norm_estimate=10,
    )
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=iter(rows.split(batch)), save_checkpoint_fn=lambda *_: None)
    before_fit(trainer)
    return trainer.fit()


def measured(sae, truth):
    found = eval_sae_on_synthetic_data(sae, truth, truth, num_samples=len(truth.rows))
    scores = found.classification
    return {
        "rows": len(truth.rows), "trueL0": found.true_l0, "l0": found.sae_l0, "deadLatents": found.dead_latents, "shrinkage": found.shrinkage,
        "explainedVariance": float(found.explained_variance), "mcc": found.mcc, "uniqueness": found.uniqueness,
        "precision": scores.precision, "recall": scores.recall, "f1": scores.f1_score, "accuracy": scores.accuracy,
    }


def main():
    torch.set_num_threads(1)
    rows, truth, results = floats("rows.f32", D), Truth(), {}
    for name in sys.argv[2:] or KINDS:
        torch.manual_seed(0)
        results[name] = measured(trained(KINDS[name](), rows), truth)
        print(name, results[name], flush=True)
    (FOLDER / "saelens.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
