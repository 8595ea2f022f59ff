"""Seconds per SAELens training step on activations in host memory.

Prints one JSON line: {"peer": name and versions, "seconds": [one per step], "l0": of the last step, "peakBytes": most that was resident, of
the whole process}. Decoder rows start with unit norm, so that pre-activations are as large as Latentkit's and the same thresholds mean the
same. bf16 is SAELens's `autocast`.
"""

import argparse
import json
import resource

import sae_lens
import torch
from accelerator import pick, wait, where
from clock import THREADS, now
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer


def make_sae(options: argparse.Namespace, device: str):
    common = dict(d_in=options.d_in, d_sae=options.d_sae, device=device, dtype="float32", decoder_init_norm=1.0)
    if options.architecture == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(k=options.k, **common))
    return JumpReLUTrainingSAE(
        JumpReLUTrainingSAEConfig(
            jumprelu_init_threshold=options.threshold,
            jumprelu_bandwidth=options.bandwidth,
            l0_coefficient=options.l0_coefficient,
            **common,
        )
    )


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
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--device", choices=["auto", "cpu"], default="cpu")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    options = parser.parse_args()

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    device = pick(options.device)
    sae = make_sae(options, device)
    # Unit mean square norm, as our trainer normalises its inputs.
    data = [torch.randn(options.batch, options.d_in) / options.d_in**0.5 for _ in range(2)]
    trainer = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=options.batch * (options.steps + 1),
            train_batch_size_samples=options.batch,
            lr=options.learning_rate,
            lr_end=options.learning_rate / 10,
            device=device,
            autocast=options.dtype == "bf16",
        ),
        sae=sae,
        data_provider=iter(data),
    )
    seconds = []
    l0 = 0.0
    for step in range(options.steps + 1):
        wait(device)
        start = now()
        output = trainer.step(data[step % len(data)])
        wait(device)
        trainer.n_training_steps += 1
        if step > 0:  # the first pays for allocation
            seconds.append(now() - start)
        acts = output.feature_acts
        l0 = ((acts.to_dense() if acts.is_sparse else acts) > 0).sum(-1, dtype=torch.float32).mean().item()
    name = f"SAELens {sae_lens.__version__}, PyTorch {torch.__version__.split('+')[0]}, {options.dtype}, {where(device)}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peer": name, "seconds": seconds, "l0": l0, "peakBytes": peak}))


if __name__ == "__main__":
    main()
