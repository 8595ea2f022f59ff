"""Seconds that SAELens takes from text and a loaded model to trained TopK SAEs, on a GGUF Llama dequantised to f32 in TransformerLens.

One k is trained by `LanguageModelSAETrainingRunner`, several by `MultiSAETrainingRunner`. Prints one JSON line: {"peer": name and versions,
"seconds": [one run]}. Loading the model is not counted; tokenising the text is.
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import sae_lens
import torch
import transformers
from clock import THREADS, now
from datasets import Dataset
from sae_lens import (
    LanguageModelSAERunnerConfig,
    LanguageModelSAETrainingRunner,
    LoggingConfig,
    MultiSAETrainingRunner,
    MultiSAETrainingRunnerConfig,
    TopKTrainingSAEConfig,
)

sys.path.append(str(Path(__file__).resolve().parents[2] / "oracles"))
from hooked_llama import hooked_llama  # noqa: E402


def load(gguf: Path, context: int):
    """The model, its own tokenizer attached as it is: TransformerLens's `set_tokenizer` would fetch another."""
    source = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = hooked_llama(source, context)
    model.tokenizer = tokenizer
    model.cfg.tokenizer_prepends_bos = False
    return model


def run(options: argparse.Namespace, model, documents: Dataset) -> None:
    hook = f"blocks.{options.layer}.hook_resid_post"
    ks = [int(k) for k in options.ks.split(",")]
    saes = {
        f"k-{k}": TopKTrainingSAEConfig(
            d_in=model.cfg.d_model,
            d_sae=options.d_sae,
            k=k,
            device="cpu",
            dtype="float32",
            normalize_activations="expected_average_only_in",
        )
        for k in ks
    }
    common = dict(
        training_tokens=options.tokens,
        train_batch_size_tokens=options.batch,
        context_size=options.context,
        n_batches_in_buffer=options.buffer_tokens // options.context,
        n_batches_for_norm_estimate=options.scale_tokens // options.batch,
        prepend_bos=False,
        streaming=False,
        device="cpu",
        checkpoint_path=None,
        output_path=None,
        logger=LoggingConfig(log_to_wandb=False),
    )
    if len(ks) == 1:
        sae = saes[f"k-{ks[0]}"]
        config = LanguageModelSAERunnerConfig(sae=sae, hook_name=hook, is_dataset_tokenized=False, **common)
        LanguageModelSAETrainingRunner(config, override_dataset=documents, override_model=model).run()
    else:
        config = MultiSAETrainingRunnerConfig(saes=saes, hook_names=hook, **common)
        MultiSAETrainingRunner(config, override_dataset=documents, override_model=model).run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--ks", required=True)
    for name in ("layer", "d-sae", "batch", "tokens", "scale-tokens", "context", "buffer-tokens"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    model = load(options.gguf, options.context)
    with options.text.open(encoding="utf-8") as lines:
        documents = Dataset.from_dict({"text": [json.loads(line)["text"] for line in lines]})
    start = now()
    run(options, model, documents)
    seconds = now() - start
    versions = f"SAELens {sae_lens.__version__}, TransformerLens {version('transformer-lens')}, PyTorch {torch.__version__.split('+')[0]}"
    print(json.dumps({"peer": f"{versions}, {THREADS} threads", "seconds": [seconds]}))


if __name__ == "__main__":
    main()
