"""Goldens of @latentkit/taxonomy's linear algebra: python make.py OUTPUT.json (numpy and scipy).

PCA by np.linalg.svd of the centred data, the unembedding's spectrum by np.linalg.svd of diag(gain) W_U, beta quantiles by scipy.
"""
import json
import pathlib
import platform
import sys

import numpy as np
import scipy
from scipy import stats

SEED = 20261122


def main(out: str) -> None:
    random = np.random.default_rng(SEED)
    d = 12

    mixing = random.normal(size=(d, d)) * np.linspace(3, 0.2, d)[:, None]
    activations = (random.normal(size=(90, d)) @ mixing + 40 * random.normal(size=d)).astype(np.float32)
    centred = activations.astype(np.float64) - activations.astype(np.float64).mean(axis=0)
    _, singular, components = np.linalg.svd(centred, full_matrices=False)

    unembedding = random.normal(size=(70, d)).astype(np.float32)
    unembedding[:, -3:] *= np.float32(0.03)
    gain = random.uniform(0.5, 2.0, size=d).astype(np.float32)
    effective = (unembedding.astype(np.float64) * gain.astype(np.float64)).T  # [d, V]
    left, spectrum, _ = np.linalg.svd(effective, full_matrices=True)
    decoder = random.normal(size=(8, d)).astype(np.float32)
    unit = decoder.astype(np.float64) / np.linalg.norm(decoder.astype(np.float64), axis=1, keepdims=True)

    beta = [[a, b, q, float(stats.beta.ppf(q, a, b)), float(stats.beta.cdf(0.3, a, b))] for a, b in [(5, 283), (0.5, 287.5), (5, 27), (2, 2), (0.5, 0.5)] for q in (0.001, 0.5, 0.999)]

    golden = {
        "seed": SEED,
        "d": d,
        "activations": activations.ravel().tolist(),
        "variances": (singular**2 / (len(activations) - 1)).tolist(),
        "components": components.tolist(),
        "unembedding": unembedding.ravel().tolist(),
        "gain": gain.tolist(),
        "singularValues": spectrum.tolist(),
        "leftVectors": left.T.tolist(),
        "decoder": decoder.ravel().tolist(),
        "shares": {str(k): np.linalg.norm(unit @ left[:, -k:], axis=1).tolist() for k in (1, 3, 5)},
        "beta": beta,
    }
    pathlib.Path(out).write_text(json.dumps(golden) + "\n")
    versions = f"python {platform.python_version()}\nnumpy {np.__version__}\nscipy {scipy.__version__}\nseed {SEED}\n"
    pathlib.Path(__file__).with_name("versions.txt").write_text(versions)


if __name__ == "__main__":
    main(sys.argv[1])
