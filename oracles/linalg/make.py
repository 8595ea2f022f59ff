"""Goldens of packages/linalg from NumPy, SciPy and mpmath.

    python oracles/linalg/make.py packages/linalg/src/__fixtures__/goldens.json

Matrices and results are f64, little-endian, base64. Writes versions.txt beside this script.
"""

import base64
import json
import pathlib
import platform
import sys

import mpmath
import numpy
import scipy
import scipy.linalg

random = numpy.random.default_rng(20260101)


def pack(array):
    array = numpy.ascontiguousarray(array, dtype=numpy.float64)
    return {"shape": list(array.shape), "f64": base64.b64encode(array.tobytes()).decode()}


def with_spectrum(rows, columns, values):
    left = scipy.linalg.qr(random.standard_normal((rows, len(values))), mode="economic")[0]
    right = scipy.linalg.qr(random.standard_normal((columns, len(values))), mode="economic")[0]
    return left @ numpy.diag(values) @ right.T


def exact_angles(first, second):
    """Principal angles in 60 digits; scipy.linalg.subspace_angles is off by 70% on the angle of 1e-8 planted below."""
    mpmath.mp.dps = 60
    basis = lambda columns: mpmath.qr(mpmath.matrix(columns.tolist()), mode="skinny")[0]
    a, b = basis(first), basis(second)
    outside = b - a * (a.T * b)
    squares = mpmath.eigsy(outside.T * outside, eigvals_only=True)
    return numpy.array([float(mpmath.asin(mpmath.sqrt(square))) for square in squares])


def main(path):
    symmetric = random.standard_normal((23, 23))
    symmetric = symmetric + symmetric.T
    graded = with_spectrum(19, 11, 10.0 ** -numpy.arange(11))
    tall = random.standard_normal((37, 9))
    targets = random.standard_normal((37, 3))
    wide = random.standard_normal((6, 14))
    wide_targets = random.standard_normal((6, 2))
    positive = tall.T @ tall + 0.1 * numpy.eye(9)
    first, second = random.standard_normal((20, 4)), random.standard_normal((20, 3))
    second[:, 0] = first[:, 1] + 1e-8 * second[:, 0]
    ridge = 0.7
    goldens = {
        "symmetric": pack(symmetric),
        "eigenvalues": pack(numpy.linalg.eigvalsh(symmetric)[::-1]),
        "graded": pack(graded),
        "gradedValues": pack(numpy.linalg.svd(graded, compute_uv=False)),
        "tall": pack(tall),
        "r": pack(numpy.abs(numpy.diag(numpy.linalg.qr(tall)[1]))),
        "targets": pack(targets),
        "solution": pack(numpy.linalg.lstsq(tall, targets, rcond=None)[0]),
        "ridge": ridge,
        "ridgeSolution": pack(numpy.linalg.solve(tall.T @ tall + ridge * numpy.eye(9), tall.T @ targets)),
        "wide": pack(wide),
        "wideTargets": pack(wide_targets),
        "wideRidgeSolution": pack(numpy.linalg.solve(wide.T @ wide + ridge * numpy.eye(14), wide.T @ wide_targets)),
        "positive": pack(positive),
        "cholesky": pack(numpy.linalg.cholesky(positive)),
        "first": pack(first),
        "second": pack(second),
        "angles": pack(exact_angles(first, second)),
    }
    pathlib.Path(path).write_text(json.dumps(goldens, indent=2) + "\n")
    versions = f"python {platform.python_version()}\nnumpy {numpy.__version__}\nscipy {scipy.__version__}\nmpmath {mpmath.__version__}\n"
    pathlib.Path(__file__).with_name("versions.txt").write_text(versions)


main(sys.argv[1])
