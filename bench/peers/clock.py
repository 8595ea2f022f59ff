"""The clock of the benches: with BENCH_CPU=1 CPU seconds on one thread, else the time that goes by on all cores."""

import os
import time

CPU = os.environ.get("BENCH_CPU") == "1"
THREADS = 1 if CPU else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def now() -> float:
    """Seconds from some start on."""
    return time.process_time() if CPU else time.perf_counter()
