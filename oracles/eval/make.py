"""Goldens for packages/eval: intervals and tests of SciPy.

    python oracles/eval/make.py packages/eval/src/__fixtures__/statistics.json

Wilson's intervals of shares, Student's distribution and its quantiles, and two one-sided t-tests (the larger p-value of SciPy's two) with
the interval of the mean. versions.txt is written beside this file.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

rng = np.random.default_rng(20)
golden = {"wilson": [], "student": [], "quantile": [], "equivalence": []}
for successes, trials in [(0, 1), (1, 1), (0, 40), (40, 40), (3, 7), (451, 500), (1, 1000), (73, 150)]:
    interval = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    golden["wilson"].append({"successes": successes, "trials": trials, "interval": [interval.low, interval.high]})
for degrees in [1, 2, 3, 4, 5, 10, 29, 30, 199, 1000]:
    for t in [-12.5, -2.1, -0.3, 0, 0.7, 1.96, 5.5]:
        golden["student"].append({"t": t, "degrees": degrees, "value": stats.t.cdf(t, degrees)})
    for probability in [0.025, 0.5, 0.9, 0.95, 0.999]:
        golden["quantile"].append({"probability": probability, "degrees": degrees, "value": stats.t.ppf(probability, degrees)})
for n, shift, margin, center in [(12, 0.0, 0.8, 0.0), (50, 0.3, 0.5, 0.0), (200, 0.02, 0.2, 0.0), (30, 1.1, 0.4, 1.0), (8, 2.0, 0.5, 0.0)]:
    values = np.round(rng.normal(shift, 0.6, n), 6)
    above = stats.ttest_1samp(values, center - margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, center + margin, alternative="less").pvalue
    interval = stats.ttest_1samp(values, center).confidence_interval(0.9)
    golden["equivalence"].append(
        {"values": values.tolist(), "margin": margin, "center": center, "p": max(above, below), "interval": [interval.low, interval.high]}
    )
Path(sys.argv[1]).write_text(json.dumps(golden) + "\n")
(Path(__file__).parent / "versions.txt").write_text("".join(f"{name} {version(name)}\n" for name in ["numpy", "scipy"]))
