"""Goldens of norms, softmax and losses with their gradients, from PyTorch.

    python oracles/tensor/normalise.py packages/tensor/src/testing/goldens/normalise.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values, results are computed in f64. RMSNorm and LayerNorm are torch.nn.functional's; their halves (normalised rows
and scales, which hooks show) are TransformerLens's formulas. The z-loss is its formula. Made with the versions in versions.txt.
"""

import sys

import torch
import torch.nn.functional as F
from pack import case, normal, start, write

start(20260103)


def backward(function, inputs, **others):
    """Runs a function of tensors, and backward from a random gradient to its result."""
    inputs = {name: tensor.detach().clone().requires_grad_() for name, tensor in inputs.items()}
    out = function(**inputs)
    d_out = normal(*out.shape) if out.dim() > 0 else torch.tensor(0.75, dtype=torch.float64)
    out.backward(d_out)
    gradients = {"d" + name[0].upper() + name[1:]: tensor.grad for name, tensor in inputs.items()}
    return case(**inputs, out=out, dOut=d_out, **gradients, **others)


def norms():
    x, weight, bias, epsilon = normal(2, 5, 19, scale=2), normal(19), normal(19), 1e-3
    off_centre = (x + 3).float().double()

    def root(part):
        def run(x):
            scale = (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
            return scale if part == "scale" else x / scale
        return run

    def layer(part):
        def run(x):
            centred = x - x.mean(-1, keepdim=True)
            scale = (centred.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
            return scale if part == "scale" else centred / scale
        return run

    return {
        "epsilon": epsilon,
        "rmsNorm": backward(lambda x, weight: F.rms_norm(x, (19,), weight, epsilon), {"x": x, "weight": weight}),
        "rmsNormPlain": backward(lambda x: F.rms_norm(x, (19,), None, epsilon), {"x": x}),
        "layerNorm": backward(
            lambda x, weight, bias: F.layer_norm(x, (19,), weight, bias, epsilon), {"x": off_centre, "weight": weight, "bias": bias}
        ),
        "layerNormPlain": backward(lambda x: F.layer_norm(x, (19,), None, None, epsilon), {"x": off_centre}),
        "rmsNormNormalized": backward(root("normalized"), {"x": x}),
        "rmsNormScale": backward(root("scale"), {"x": x}),
        "layerNormNormalized": backward(layer("normalized"), {"x": off_centre}),
        "layerNormScale": backward(layer("scale"), {"x": off_centre}),
    }


def softmaxes():
    x = normal(3, 4, 7, scale=3)
    return [
        {"axis": axis, "logarithm": logarithm} | backward(lambda x: (F.log_softmax if logarithm else F.softmax)(x, axis), {"x": x})
        for axis in (0, 1, -1) for logarithm in (False, True)
    ]


def cross_entropies():
    n, classes = 9, 23
    targets = torch.randint(0, classes, (n,))
    targets[2] = targets[7] = -100
    pad = int(targets[4])

    def run(reduction, ignore, smoothing, z):
        def loss(logits):
            kept = targets != ignore
            # F.cross_entropy knows one index to ignore; rows of -100 are left out of both.
            rows = F.cross_entropy(
                logits, torch.where(kept, targets, -100), ignore_index=-100, label_smoothing=smoothing, reduction="none"
            )
            counted = kept & (targets != -100)
            rows = rows + torch.where(counted, z * torch.logsumexp(logits, -1) ** 2, 0)
            return rows if reduction == "none" else rows.sum() if reduction == "sum" else rows.sum() / counted.sum()
        return loss

    options = [
        (reduction, ignore, smoothing, z)
        for reduction in ("none", "sum", "mean") for ignore, smoothing, z in ((-100, 0.0, 0.0), (pad, 0.1, 0.0), (-100, 0.3, 0.01))
    ]
    cases = [
        backward(
            run(reduction, ignore, smoothing, z), {"logits": normal(n, classes, scale=4)},
            targets=targets, reduction=reduction, ignoreIndex=ignore, labelSmoothing=smoothing, zLoss=z,
        )
        for reduction, ignore, smoothing, z in options
    ]
    # The plain mean is F.cross_entropy's own.
    logits = normal(n, classes)
    torch.testing.assert_close(run("mean", -100, 0.0, 0.0)(logits), F.cross_entropy(logits, targets))
    return cases


def losses():
    a, b = normal(4, 11, scale=2), normal(4, 11)

    def divergence(a, b):
        return F.kl_div(F.log_softmax(b, -1), F.log_softmax(a, -1), reduction="none", log_target=True).sum(-1)

    return {
        "klDivergence": backward(divergence, {"a": a, "b": b}),
        "mseLoss": backward(lambda a, b: F.mse_loss(a, b), {"a": a, "b": b}),
        "binaryCrossEntropy": backward(lambda a, b: F.binary_cross_entropy_with_logits(a, b), {"a": a, "b": b.sigmoid().float().double()}),
    }


write(sys.argv[1], {"norms": norms(), "softmax": softmaxes(), "crossEntropy": cross_entropies(), "losses": losses()})
