"""Goldens of the statistics that compare architectures of SAEs: paired t-tests and all swaps of labels by SciPy, interpolation by NumPy,
Holm's adjustment by its definition.

    python oracles/suite/make.py
"""

import json
import platform
from pathlib import Path

import numpy
import scipy
from scipy import stats

here = Path(__file__).parent
out = here.parent.parent / "packages/suite/src/compare/__fixtures__/statistics.json"
random = numpy.random.default_rng(7)


def paired(size: int, shift: float) -> dict:
    """Values in units of 1/64, so that their sums are exact in any order."""
    values = numpy.round(64 * random.normal(shift, 1, size)) / 64
    test = stats.ttest_1samp(values, 0)
    low, high = test.confidence_interval(0.95)
    swaps = stats.permutation_test(
        (values,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf
    )
    return {
        "differences": values.tolist(),
        "mean": float(values.mean()),
        "interval": [float(low), float(high)],
        "p": float(test.pvalue),
        "swapP": float(swaps.pvalue),
    }


def interpolated() -> dict:
    l0 = numpy.sort(random.uniform(5, 200, 6))
    values = random.uniform(0, 1, 6)
    at = random.uniform(l0[0], l0[-1], 12)
    found = numpy.interp(numpy.log(at), numpy.log(l0), values)
    return {"l0": l0.tolist(), "values": values.tolist(), "at": at.tolist(), "found": found.tolist()}


def holm() -> dict:
    p = random.uniform(0, 0.2, 9)
    order = numpy.argsort(p)
    stepped = numpy.minimum(1, p[order] * (len(p) - numpy.arange(len(p))))
    adjusted = numpy.empty_like(p)
    adjusted[order] = numpy.maximum.accumulate(stepped)
    return {"p": p.tolist(), "adjusted": adjusted.tolist()}


golden = {
    "paired": [paired(5, 0.0), paired(5, 1.5), paired(2, 1.0), paired(10, 0.5), paired(3, -2.0)],
    "interpolated": [interpolated() for _ in range(4)],
    "holm": [holm() for _ in range(3)],
}
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(golden, indent=1) + "\n")
(here / "versions.txt").write_text(
    f"python {platform.python_version()}\nnumpy {numpy.__version__}\nscipy {scipy.__version__}\n"
)
