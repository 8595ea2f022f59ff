"""SAELens's activation caches, both ways.

  python oracles/circuits/saelens_cache.py make     writes packages/activations/src/node/__fixtures__/saelens-cache
  python oracles/circuits/saelens_cache.py check    reads what Latentkit wrote, .../saelens-cache-ours, as SAELens does

`make` runs SAELens's CacheActivationsRunner, unchanged but for the model, on the small Llama of packages/models: `runner` with f32 and
token ids in three files, and `half` with f16, made by `datasets` as SAELens makes it. golden.safetensors has the activations
[rows, context, d_in] and token ids that `datasets` reads from them.

`check` opens `saelens-cache-ours` (see write-cache.ts) with SAELens's ActivationsStore (cached_activations_path) and with `datasets`, and
compares values and token ids with golden.safetensors there, bit for bit. It writes result.json beside the folder.

Needs sae-lens, datasets, pyarrow, transformer-lens; the versions used are in the results.
"""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import datasets
import sae_lens.cache_activations_runner as runner_module
import torch
from datasets import Array2D, Dataset, Features
from sae_lens import CacheActivationsRunner, CacheActivationsRunnerConfig
from sae_lens.training.activations_store import ActivationsStore
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

sys.path.append(str(Path(__file__).resolve().parents[1]))
from hooked_llama import hooked_llama  # noqa: E402

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packages/activations/src/node/__fixtures__"
HOOK, CONTEXT, ROWS = "blocks.0.hook_resid_post", 6, 5


def hooked():
    return hooked_llama(
        AutoModelForCausalLM.from_pretrained(ROOT / "packages/models/src/__fixtures__/families/llama")
    )


def config(path, d_in, rows, **more):
    return CacheActivationsRunnerConfig(
        dataset_path="tokens",
        model_name="llama",
        model_batch_size=1,
        hook_name=HOOK,
        d_in=d_in,
        training_tokens=rows * CONTEXT,
        context_size=CONTEXT,
        new_cached_activations_path=str(path),
        shuffle=False,
        prepend_bos=False,
        streaming=False,
        device="cpu",
        **more,
    )


def make():
    out = FOLDER / "saelens-cache"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    lens = hooked()
    d_in = lens.cfg.d_model
    generator = torch.Generator().manual_seed(23)
    tokens = torch.randint(0, lens.cfg.d_vocab, (ROWS, CONTEXT), generator=generator)
    data = Dataset.from_dict({"tokens": tokens.tolist()})
    runner_module.load_model = lambda **_: lens
    # Two rows a file: the runner's buffer is counted in bytes of activations.
    cfg = config(out / "runner", d_in, ROWS, buffer_size_gb=2 * CONTEXT * d_in * 4 / 1e9)
    CacheActivationsRunner(cfg, override_dataset=data).run()
    runner = datasets.load_from_disk(str(out / "runner")).with_format("torch")
    golden = {"runner.activations": runner[:][HOOK], "runner.tokens": runner[:]["token_ids"].int()}
    half = torch.randn(3, 2, d_in, generator=generator).half()
    Dataset.from_dict(
        {HOOK: half.numpy()}, features=Features({HOOK: Array2D(shape=(2, d_in), dtype="float16")})
    ).save_to_disk(str(out / "half"), num_shards=1)
    golden["half.activations"] = half.float()
    save_file({key: value.contiguous() for key, value in golden.items()}, out / "golden.safetensors")
    names = ("sae-lens", "datasets", "pyarrow", "transformer-lens", "torch")
    versions = "".join(f"{name}=={version(name)}\n" for name in names)
    Path(__file__).with_name("saelens-cache-versions.txt").write_text(versions)


def check():
    folder = FOLDER / "saelens-cache-ours"
    golden = load_file(folder / "golden.safetensors")
    expected, tokens = golden["activations"], golden["tokens"]
    rows, context, d_in = expected.shape
    data = datasets.load_from_disk(str(folder / "cache")).with_format("torch")
    assert torch.equal(data[:][HOOK], expected), "datasets reads other activations"
    assert torch.equal(data[:]["token_ids"].int(), tokens), "datasets reads other tokens"
    cfg = CacheActivationsRunnerConfig(
        dataset_path="",
        model_name="llama",
        model_batch_size=1,
        hook_name=HOOK,
        d_in=d_in,
        training_tokens=rows * context,
        context_size=context,
        new_cached_activations_path=str(folder / "cache"),
        device="cpu",
    )
    store = ActivationsStore.from_cache_activations(hooked(), cfg)
    assert store.cached_activation_dataset is not None
    seen = [store.get_raw_llm_batch() for _ in range(rows)]
    assert torch.equal(torch.cat([a.reshape(-1, d_in) for a, _ in seen]), expected.reshape(-1, d_in))
    assert torch.equal(torch.cat([t.flatten().int() for _, t in seen]), tokens.flatten())
    result = {
        "rows": rows,
        "files": len(list((folder / "cache").glob("*.arrow"))),
        "columns": data.column_names,
        "sae_lens": version("sae-lens"),
        "datasets": datasets.__version__,
        "pyarrow": version("pyarrow"),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1, sort_keys=True))


{"make": make, "check": check}[sys.argv[1]]()
