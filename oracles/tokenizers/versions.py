"""Says which versions made the goldens of tokenizers and chats."""

import platform
from importlib.metadata import version
from pathlib import Path


def write_versions():
    names = ["tokenizers", "transformers", "gguf", "sentencepiece", "jinja2"]
    lines = [f"python {platform.python_version()}"] + [f"{name} {version(name)}" for name in names]
    (Path(__file__).parent / "versions.txt").write_text("\n".join(lines) + "\n")
