"""What makes Gated and JumpReLU SAEs differ between the two libraries: SAELens with one choice changed at a time, three seeds each.

    python oracles/sae/synthetic_choices.py FOLDER

FOLDER is what synthetic-table.ts left. Choices: the norm that rows start at, whether W_dec's rows are kept at unit norm (the gradient's part along
them removed), whether gradients are clipped to norm 1, and for Gated whether the gate's own reconstruction stops at the decoder. Writes
FOLDER/choices.json: for each run the mean and the standard deviation over seeds 0 to 2.
"""

import json
from unittest import mock

import numpy as np
import torch
from sae_lens.saes.gated_sae import GatedTrainingSAE
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE

from synthetic_table import D, FOLDER, Truth, floats, gated, jump, measured, trained

SEEDS = 3


class StoppedGated(GatedTrainingSAE):
    """Gated as 2404.16014 has it: the gate's reconstruction does not train the decoder."""

    def calculate_aux_loss(self, step_input, feature_acts, hidden_pre, sae_out):
        gate = ((step_input.sae_in - self.b_dec) @ self.W_enc + self.b_gate).relu()
        via_gate = gate @ self.W_dec.detach() + self.b_dec.detach()
        return {
            "l1_loss": step_input.coefficients["l1"] * gate.sum(-1).mean(),
            "auxiliary_reconstruction_loss": (via_gate - step_input.sae_in).pow(2).sum(-1).mean(),
        }


def unit_rows(trainer):
    """Rows of W_dec at unit norm after every step, and no gradient along them before it."""
    take, decoder = trainer.optimizer.step, trainer.sae.W_dec

    def step(*arguments, **options):
        with torch.no_grad():
            direction = decoder / decoder.norm(dim=1, keepdim=True)
            decoder.grad -= (decoder.grad * direction).sum(1, keepdim=True) * direction
        result = take(*arguments, **options)
        with torch.no_grad():
            decoder.div_(decoder.norm(dim=1, keepdim=True))
        return result

    trainer.optimizer.step = step


def run(make, rows, truth, unit, clip, seed):
    torch.manual_seed(seed)
    clipping = mock.patch("torch.nn.utils.clip_grad_norm_", **({"wraps": torch.nn.utils.clip_grad_norm_} if clip else {"return_value": None}))
    with clipping:
        return measured(trained(make(), rows, unit_rows if unit else lambda _: None), truth)


def main():
    torch.set_num_threads(1)
    rows, truth, results = floats("rows.f32", D), Truth(), {}
    cases = {
        "gated: SAELens": (lambda: GatedTrainingSAE(gated()), False, True),
        "gated: no clipping": (lambda: GatedTrainingSAE(gated()), False, False),
        "gated: rows from norm 1": (lambda: GatedTrainingSAE(gated(decoder_init_norm=1.0)), False, True),
        "gated: rows from norm 1, no clipping": (lambda: GatedTrainingSAE(gated(decoder_init_norm=1.0)), False, False),
        "gated: unit rows": (lambda: GatedTrainingSAE(gated(decoder_init_norm=1.0)), True, True),
        "gated: unit rows, decoder stopped": (lambda: StoppedGated(gated(decoder_init_norm=1.0)), True, True),
        "gated: unit rows, decoder stopped, no clipping": (lambda: StoppedGated(gated(decoder_init_norm=1.0)), True, False),
        "jumprelu: rows from norm 0.1": (lambda: JumpReLUTrainingSAE(jump(decoder_init_norm=0.1)), False, True),
        "jumprelu: rows from norm 1": (lambda: JumpReLUTrainingSAE(jump()), False, True),
        "jumprelu: unit rows": (lambda: JumpReLUTrainingSAE(jump()), True, True),
        "jumprelu: unit rows, no clipping": (lambda: JumpReLUTrainingSAE(jump()), True, False),
    }
    for name, (make, unit, clip) in cases.items():
        found = [run(make, rows, truth, unit, clip, seed) for seed in range(SEEDS)]
        columns = {key: np.array([one[key] for one in found], dtype=float) for key in ("l0", "mcc", "f1", "explainedVariance", "deadLatents")}
        results[name] = {key: [round(float(values.mean()), 4), round(float(values.std(ddof=1)), 4)] for key, values in columns.items()}
        print(name, results[name], flush=True)
    (FOLDER / "choices.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
