"""Seconds of greedy generation by llama.cpp on the GGUF file as it is, through the prebuilt wheel of xllamacpp.

The name says which instructions that build uses: a llama.cpp compiled for the machine at hand may be faster.

Reads questions, one JSON object a line: {"gguf", "prompts": one list of token ids, "new": tokens to make}.
Answers with one line each: {"peer": name and version, "seconds": [one run]}; no seconds where xllamacpp is not installed.
"""

import json
import sys
from importlib.metadata import PackageNotFoundError, version

from clock import THREADS, now


def load(gguf: str):
    """The peer's name and a server in this process; None where the package is missing."""
    try:
        release = version("xllamacpp")
    except PackageNotFoundError:
        return None
    import xllamacpp

    features = xllamacpp.get_system_info()
    widest = next((name for name in ("AVX512", "AVX2", "AVX", "NEON") if f" {name} = 1" in features), "plain")
    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.n_ctx = 512
    params.n_parallel = 1
    params.verbosity = 0
    return f"llama.cpp (xllamacpp {release}, {widest} build), {THREADS} threads", xllamacpp.Server(params)


def generate(server, prompt: list[int], new: int) -> float:
    start = now()
    result = server.handle_completions(
        {"prompt": prompt, "max_tokens": new, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    )
    seconds = now() - start
    assert result["usage"]["completion_tokens"] == new, result["usage"]
    return seconds


def main() -> None:
    loaded = None
    for line in sys.stdin:
        question = json.loads(line)
        loaded = loaded or load(question["gguf"])
        if loaded is None:
            print(json.dumps({"peer": "llama.cpp", "seconds": []}), flush=True)
            continue
        name, server = loaded
        seconds = generate(server, question["prompts"][0], question["new"])
        print(json.dumps({"peer": name, "seconds": [seconds]}), flush=True)


if __name__ == "__main__":
    main()
