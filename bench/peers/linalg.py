"""Seconds of NumPy's (LAPACK's) decompositions of the matrices of the linalg bench, in f64.

Prints one JSON line: {"peer": name and versions, "seconds": [one per repetition]}.
"""

import argparse
import json
import platform
import time

import numpy
import scipy
import scipy.sparse.linalg


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", choices=["eigen", "qr", "svd", "randomized"], required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--repetitions", type=int, required=True)
    options = parser.parse_args()
    random = numpy.random.default_rng(0)
    a = random.standard_normal((options.rows, options.columns))
    if options.work == "eigen":
        a = a @ a.T
    if options.work == "randomized":
        a = a.astype(numpy.float32)
    work = {
        "eigen": lambda: numpy.linalg.eigh(a),
        "qr": lambda: numpy.linalg.qr(a),
        "svd": lambda: numpy.linalg.svd(a, full_matrices=False),
        "randomized": lambda: scipy.sparse.linalg.svds(a, k=options.rank),
    }[options.work]
    seconds = []
    for _ in range(options.repetitions + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    peer = f"NumPy {numpy.__version__}, SciPy {scipy.__version__}, Python {platform.python_version()}"
    print(json.dumps({"peer": peer, "seconds": seconds[1:]}))


main()
