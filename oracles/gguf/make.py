"""Goldens of the GGUF reader, from the reference Python package `gguf`.

    python oracles/gguf/make.py            # blocks.safetensors, every-type.gguf, every-type.json
    LATENTKIT_MODELS=DIR python oracles/gguf/make.py   # also smollm2-tensors.json

Writes beside the tests of packages/loaders and `versions.txt` beside itself.
"""

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

here = Path(__file__).parent
out = here.parent.parent / "packages" / "loaders" / "src" / "__fixtures__"
out.mkdir(exist_ok=True)
random = np.random.default_rng(20260704)

# f16 scales worth a block of their own: zeros, smallest and largest subnormal, smallest normal, 1, largest, infinity, NaN.
EDGES = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00], np.uint16)


def blocks():
    tensors = {}
    for kind, size, halves in [(T.Q8_0, 34, 1), (T.Q4_0, 18, 1), (T.Q4_1, 20, 2)]:
        rows = random.integers(0, 256, (64, size), np.uint8)
        scales = random.standard_normal((64, halves)).astype(np.float16).view(np.uint16)
        scales[: len(EDGES), 0] = EDGES
        if halves == 2:
            scales[len(EDGES) : 2 * len(EDGES), 1] = EDGES
        rows[:, : 2 * halves] = scales.view(np.uint8)
        with np.errstate(all="ignore"):
            values = dequantize(rows, kind)
        tensors[f"{kind.name}.bytes"] = rows.reshape(-1)
        tensors[f"{kind.name}.values"] = values.reshape(-1)
    # A generator of their own: these came later, and what follows should not change.
    later = np.random.default_rng(20261122)
    for kind, size, places in [(T.Q4_K, 144, [0, 2]), (T.Q6_K, 210, [208])]:
        rows = later.integers(0, 256, (64, size), np.uint8)
        for place in places:
            scales = later.standard_normal(64).astype(np.float16).view(np.uint16)
            first = len(EDGES) * (place == 2)
            scales[first : first + len(EDGES)] = EDGES
            rows[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
        with np.errstate(all="ignore"):
            values = dequantize(rows, kind)
        tensors[f"{kind.name}.bytes"] = rows.reshape(-1)
        tensors[f"{kind.name}.values"] = values.reshape(-1)
    last = np.random.default_rng(20261128)
    for kind, size, places in [(T.Q5_0, 22, [0]), (T.Q5_1, 24, [0, 2]), (T.Q2_K, 84, [80, 82]), (T.Q3_K, 110, [108]), (T.Q5_K, 176, [0, 2])]:
        rows = last.integers(0, 256, (40, size), np.uint8)
        for index, place in enumerate(places):
            scales = last.standard_normal(40).astype(np.float16).view(np.uint16)
            first = len(EDGES) * index
            scales[first : first + len(EDGES)] = EDGES
            rows[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
        with np.errstate(all="ignore"):
            values = dequantize(rows, kind)
        tensors[f"{kind.name}.bytes"] = rows.reshape(-1)
        tensors[f"{kind.name}.values"] = values.reshape(-1)
    tensors.update(q8_k(last))
    halves = np.arange(0, 65536, 7, dtype=np.uint16)
    tensors["F16.bytes"] = halves.view(np.uint8)
    tensors["F16.values"] = halves.view(np.float16).astype(np.float32)
    tensors["BF16.bytes"] = halves.view(np.uint8)
    tensors["BF16.values"] = dequantize(halves.view(np.uint8).reshape(1, -1), T.BF16).reshape(-1)
    save_file(tensors, out / "blocks.safetensors")


def q8_k(random):
    """gguf knows the size of Q8_K's blocks but has no dequantize for it: ggml's `dequantize_row_q8_K` (y = d * q) in numpy."""
    elements, size = gguf.GGML_QUANT_SIZES[T.Q8_K]
    rows = random.integers(0, 256, (40, size), np.uint8)
    scales = random.standard_normal(40).astype(np.float32)
    scales[: len(EDGES)] = EDGES.view(np.float16).astype(np.float32)
    scales[len(EDGES) : len(EDGES) + 2] = [1e-45, 3e38]
    rows[:, :4] = scales.view(np.uint8).reshape(-1, 4)
    with np.errstate(all="ignore"):
        values = scales[:, None] * rows[:, 4 : 4 + elements].view(np.int8).astype(np.float32)
    return {"Q8_K.bytes": rows.reshape(-1), "Q8_K.values": values.reshape(-1)}


def every_type():
    """A file with a value of each metadata type and a tensor of each format that we decode."""
    path = out / "every-type.gguf"
    writer = gguf.GGUFWriter(path, "test")
    writer.add_uint8("test.u8", 255)
    writer.add_int8("test.i8", -128)
    writer.add_uint16("test.u16", 65535)
    writer.add_int16("test.i16", -32768)
    writer.add_uint32("test.u32", 4294967295)
    writer.add_int32("test.i32", -2147483648)
    writer.add_float32("test.f32", 0.1)
    writer.add_bool("test.true", True)
    writer.add_bool("test.false", False)
    writer.add_string("test.string", "naïve 👩‍👧 \ufeff日本")
    writer.add_uint64("test.u64", 2**64 - 1)
    writer.add_int64("test.i64", -(2**63))
    writer.add_uint64("test.small-u64", 12345)
    writer.add_float64("test.f64", 0.1)
    writer.add_array("test.strings", ["a", "", "ü"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -1.25])
    writer.add_array("test.booleans", [True, False])
    writer.add_array("test.nested", [[1, 2], [3]])
    expected = {}
    floats = random.standard_normal((3, 64)).astype(np.float32)
    for kind in [T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]:
        stored = quantize(floats, kind)
        name = f"{kind.name.lower()}.weight"
        writer.add_tensor(name, stored, raw_dtype=None if kind in (T.F32, T.F16) else kind)
        expected[name] = {"shape": [3, 64], "format": kind.name, "values": dequantize(stored, kind).reshape(-1).tolist()}
    integers = np.arange(-5, 7, dtype=np.int32).reshape(2, 3, 2)
    writer.add_tensor("i32", integers)
    expected["i32"] = {"shape": [2, 3, 2], "format": "I32", "values": integers.reshape(-1).tolist()}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (out / "every-type.json").write_text(json.dumps(expected))


def real_model(folder):
    path = next(Path(folder).glob("*.gguf"))
    reader = gguf.GGUFReader(path)
    wanted = ["token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight"]
    wanted += ["blk.14.attn_v.weight", "blk.14.attn_output.weight", "blk.29.ffn_gate.weight", "blk.29.ffn_up.weight", "blk.29.ffn_down.weight"]
    golden = {"file": path.name, "tensors": {}}
    for tensor in reader.tensors:
        if tensor.name not in wanted:
            continue
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(-1)
        at = [int(i) for i in np.linspace(0, values.size - 1, 7)]
        golden["tensors"][tensor.name] = {
            "shape": [int(n) for n in reversed(tensor.shape)],
            "format": tensor.tensor_type.name,
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
            "at": at,
            "values": [float(values[i]) for i in at],
        }
    golden["hugging_face"] = hugging_face(folder, path.name)
    (out / "smollm2-tensors.json").write_text(json.dumps(golden, indent=1) + "\n")


def hugging_face(folder, name):
    """Names, row order and configuration as transformers makes them from the same file."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    keys = "hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size vocab_size rms_norm_eps"
    keys += " max_position_embeddings tie_word_embeddings bos_token_id eos_token_id"
    config = model.config.to_dict()
    state = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    layers = [0, 17, 29]
    hashes = {
        key: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
        for key, value in state.items()
        if not key.startswith("model.layers.") or int(key.split(".")[2]) in layers
    }
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    return {"config": {**{key: config[key] for key in keys.split()}, "rope_theta": theta}, "names": sorted(state), "sha256": hashes}


blocks()
every_type()
if "LATENTKIT_MODELS" in os.environ:
    real_model(os.environ["LATENTKIT_MODELS"])
names = ["gguf", "numpy", "safetensors", "torch", "transformers"]
(here / "versions.txt").write_text("\n".join([f"python {platform.python_version()}"] + [f"{name} {version(name)}" for name in names]) + "\n")
