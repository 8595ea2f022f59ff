"""Seconds per SAELens training step on in-memory activations.

Prints one JSON line: {"peer": name and versions, "seconds": [one per step], "l0": of the last step}.
"""

import argparse
import json
import time

import sae_lens
import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer


def make_sae(options: argparse.Namespace):
    common = dict(d_in=options.d_in, d_sae=options.d_sae, device="cpu", dtype="float32")
    if options.architecture == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(k=options.k, **common))
    sae = JumpReLUTrainingSAE(
        JumpReLUTrainingSAEConfig(
            jumprelu_init_threshold=options.threshold, jumprelu_bandwidth=options.bandwidth, l0_coefficient=options.l0_coefficient, **common
        )
    )
    return sae


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--architecture", choices=["topk", "jumprelu"], required=True)
    parser.add_argument("--d-in", type=int, required=True)
    parser.add_argument("--d-sae", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--threshold", type=float, default=0.01)
    parser.add_argument("--bandwidth", type=float, default=0.05)
    parser.add_argument("--l0-coefficient", type=float, default=1.0)
    options = parser.parse_args()

    torch.manual_seed(0)
    sae = make_sae(options)
    # Unit mean square norm, as our trainer normalises its inputs.
    data = [torch.randn(options.batch, options.d_in) / options.d_in**0.5 for _ in range(2)]
    trainer = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=options.batch * (options.steps + 1), train_batch_size_samples=options.batch, lr=3e-4, lr_end=3e-5
        ),
        sae=sae,
        data_provider=iter(data),
    )
    seconds = []
    l0 = 0.0
    for step in range(options.steps + 1):
        start = time.perf_counter()
        output = trainer.step(data[step % len(data)])
        trainer.n_training_steps += 1
        if step > 0:  # the first pays for allocation
            seconds.append(time.perf_counter() - start)
        l0 = (output.feature_acts > 0).float().sum(-1).mean().item()
    name = f"SAELens {sae_lens.__version__}, PyTorch {torch.__version__.split('+')[0]}"
    print(json.dumps({"peer": name, "seconds": seconds, "l0": l0}))


if __name__ == "__main__":
    main()
