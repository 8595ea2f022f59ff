"""Checkpoints in everybody's format, and what their libraries make of them, for the readers of @latentkit/sae.

    python oracles/sae/formats.py [OUT]

OUT defaults to packages/sae/src/__fixtures__/formats. Deterministic; needs torch, safetensors and sae-lens, and to write dictionary_learning's
and sparsify's files those packages themselves:

    pip install --no-deps --target FOLDER dictionary-learning==0.1.0 eai-sparsify==1.3.3 natsort schedulefree
    PYTHONPATH=FOLDER python oracles/sae/formats.py

Features and reconstructions are SAELens's, through its own converter of each format, whose downloads are pointed at the files written here.
For sparsify they are the package's: SAELens's converter does not load what it writes (see packages/sae/src/formats/sparsify.ts). Where a
class of dictionary_learning is not converted by SAELens either (AutoEncoderNew), they are that class's. Each of the others is compared with
its own library too, where there is one.
"""

import json
import math
import shutil
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import safetensors
import torch
from huggingface_hub.utils import EntryNotFoundError
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__/formats"
D, F, N, K = 6, 16, 7, 3
torch.set_num_threads(1)

# dictionary_learning imports it for running language models, which nothing here does.
nnsight = types.ModuleType("nnsight")
nnsight.LanguageModel = object
sys.modules.setdefault("nnsight", nnsight)

from sae_lens import SAE  # noqa: E402
from sae_lens.loading import pretrained_sae_loaders as loaders  # noqa: E402

GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(N, D, generator=GENERATOR)
GOLDEN = {"x": X}
REPO = {"folder": None}


def rand(*shape, scale=1.0):
    return torch.randn(*shape, generator=GENERATOR) * scale


def randomise(module):
    """Random weights of some size: W 0.6, biases 0.3, in the order of the state dict."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(rand(*parameter.shape, scale=0.6 if parameter.ndim == 2 else 0.3))
    return module


def local_download(repo_id, filename=None, subfolder=None, **_):
    path = REPO["folder"] / (f"{subfolder}/{filename}" if subfolder else filename)
    if not path.exists():
        # As the hub answers; the class wants a response, which nobody reads.
        raise EntryNotFoundError.__new__(EntryNotFoundError)
    return str(path)


def local_shapes(repo_id, filename):
    with safe_open(REPO["folder"] / filename, framework="pt") as file:
        return {key: list(file.get_tensor(key).shape) for key in file.keys()}


loaders.hf_hub_download = local_download
loaders.get_safetensors_tensor_shapes = local_shapes


def load(loader, repo, folder, overrides=None, scale=None):
    """As SAE.from_pretrained does it, after the download."""
    cfg, state, _ = loader(repo_id=repo, folder_name=folder, device="cpu", force_download=False, cfg_overrides={"dtype": "float32", "device": "cpu", **(overrides or {})})
    return build(cfg, state, scale)


def build(cfg, state, scale=None):
    cfg = loaders.handle_config_defaulting(cfg)
    config = SAE.get_sae_config_class_for_architecture(cfg["architecture"]).from_dict(cfg)
    sae = SAE.get_sae_class_for_architecture(config.architecture())(config)
    sae.process_state_dict_for_loading(state)
    sae.load_state_dict(state, assign=True)
    if scale is not None:
        sae.fold_activation_norm_scaling_factor(scale)
    return sae.to(dtype=torch.float32, device="cpu")


@torch.no_grad()
def record(name, sae, x=X):
    if sae.cfg.reshape_activations == "hook_z":
        sae.turn_off_forward_pass_hook_z_reshaping()
    features = sae.encode(x)
    # With a skip connection it is forward that adds it.
    decoded = sae(x) if hasattr(sae, "W_skip") else sae.decode(features)
    put(name, features, decoded)


@torch.no_grad()
def put(name, features, decoded):
    active = (features != 0).float().mean()
    assert 0 < active < 1, (name, active)
    GOLDEN[f"{name}.features"] = features.detach().clone().contiguous()
    GOLDEN[f"{name}.reconstruction"] = decoded.detach().clone().contiguous()


def agree(name, features, decoded):
    assert torch.allclose(GOLDEN[f"{name}.features"], features, atol=1e-5), name
    assert torch.allclose(GOLDEN[f"{name}.reconstruction"], decoded, atol=1e-5), name


def place(*parts):
    path = OUT.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def dictionary_learning():
    from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    makers = {
        "AutoEncoder": lambda: AutoEncoder(D, F),
        "AutoEncoderNew": lambda: AutoEncoderNew(D, F),
        "GatedAutoEncoder": lambda: GatedAutoEncoder(D, F),
        "JumpReluAutoEncoder": lambda: JumpReluAutoEncoder(D, F),
        "AutoEncoderTopK": lambda: AutoEncoderTopK(D, F, K),
        "BatchTopKSAE": lambda: BatchTopKSAE(D, F, K),
        "MatryoshkaBatchTopKSAE": lambda: MatryoshkaBatchTopKSAE(D, F, K, [4, 12]),
    }
    for name, make in makers.items():
        folder = place("dictionary-learning", name, "trainer_0")
        sae = randomise(make())
        if name == "JumpReluAutoEncoder":
            sae.threshold.data = torch.rand(F, generator=GENERATOR) * 0.8 - 0.2
        elif hasattr(sae, "threshold"):
            sae.threshold.fill_(0.7)
        torch.save(sae.state_dict(), folder / "ae.pt")
        trainer = {"dict_class": name, "activation_dim": D, "dict_size": F, "layer": 8, "lm_name": "example/pythia", "submodule_name": "resid_post_layer_8"}
        if name in ("AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
            trainer["k"] = K
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"d_submodule": D, "ctx_len": 128}}))
        REPO["folder"] = OUT / "dictionary-learning"
        golden = f"dictionary-learning/{name}"
        with torch.no_grad():
            features = sae.encode(X)
            decoded = sae.decode(features)
        if name == "AutoEncoderNew":
            put(golden, features, decoded)
        else:
            record(golden, load(loaders.dictionary_learning_sae_huggingface_loader_1, "example/dl", f"{name}/trainer_0"))
            agree(golden, features, decoded)


def sparsify():
    from sparsify import SparseCoder, SparseCoderConfig

    cases = {
        "layers.3": SparseCoderConfig(num_latents=F, k=K),
        "layers.4.mlp": SparseCoderConfig(num_latents=F, k=K, transcode=True, skip_connection=True),
    }
    for name, config in cases.items():
        coder = randomise(SparseCoder(D, config))
        folder = place("sparsify", name)
        coder.save_to_disk(folder)
        with torch.no_grad():
            values, indices, _ = coder.encode(X)
            features = torch.zeros(N, F).scatter(-1, indices, values)
            put(f"sparsify/{name}", features, coder(X).sae_out)


def gemma_scope():
    def params(folder, d_in=D, names="W", scale=1.0):
        arrays = {
            f"{names}_enc": rand(d_in, F, scale=0.6 * scale),
            f"{names}_dec": rand(F, d_in, scale=0.6),
            "b_enc": rand(F, scale=0.3),
            "b_dec": rand(d_in, scale=0.3),
            "threshold": torch.rand(F, generator=GENERATOR) * 0.8 - 0.2,
        }
        np.savez(place("gemma-scope", folder) / "params.npz", **{k: v.numpy() for k, v in arrays.items()})

    overrides = {"d_in": D, "d_sae": F}
    for repo, folder in [
        ("google/gemma-scope-2b-pt-res", "layer_20/width_16k/average_l0_71"),
        ("google/gemma-scope-9b-it-att", "layer_4/width_16k/average_l0_9"),
        ("google/gemma-scope-2b-pt-res", "embedding/width_4k/average_l0_6"),
        ("google/gemma-scope-2b-pt-transcoders", "layer_7/width_16k/average_l0_11"),
    ]:
        transcoder = "transcoders" in repo
        params(f"{repo}/{folder}", names="w" if transcoder else "W", scale=math.sqrt(D) if "embedding" in folder else 1)
        REPO["folder"] = OUT / "gemma-scope" / repo
        loader = loaders.gemma_2_transcoder_huggingface_loader if transcoder else loaders.gemma_2_sae_huggingface_loader
        record(f"gemma-scope/{repo}/{folder}", load(loader, repo, folder, {**overrides, **({"d_out": D} if transcoder else {})}))


def gemma_scope_2():
    for folder, has_config, affine in [
        ("resid_post/layer_9_width_16k_l0_small", True, False),
        ("attn_out_all/layer_2_width_16k_l0_big", False, False),
        ("transcoder/layer_5_width_16k_l0_small", False, False),
        ("transcoder_all/layer_5_width_16k_l0_small_affine", True, True),
    ]:
        repo = "google/gemma-scope-2-270m-pt"
        path = place("gemma-scope-2", repo, folder)
        d_out = 4 if "transcoder" in folder else D
        tensors = {
            "w_enc": rand(D, F, scale=0.6),
            "w_dec": rand(F, d_out, scale=0.6),
            "b_enc": rand(F, scale=0.3),
            "b_dec": rand(d_out, scale=0.3),
            "threshold": torch.rand(F, generator=GENERATOR) * 0.8 - 0.2,
        }
        if affine:
            tensors["affine_skip_connection"] = rand(D, d_out, scale=0.6)
        save_file(tensors, path / "params.safetensors")
        if has_config:
            config = {"architecture": "jump_relu", "model_name": "gemma-v3-270m-pt", "hf_hook_point_in": "model.layers.9.output", "affine_connection": affine}
            if "transcoder" in folder:
                config |= {"hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output", "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output"}
            (path / "config.json").write_text(json.dumps(config))
        REPO["folder"] = OUT / "gemma-scope-2" / repo
        record(f"gemma-scope-2/{folder}", load(loaders.gemma_3_sae_huggingface_loader, repo, folder))


def llama_scope():
    tensors = lambda: {
        "encoder.weight": rand(F, D, scale=0.6).contiguous(),
        "decoder.weight": rand(D, F, scale=0.6).contiguous(),
        "encoder.bias": rand(F, scale=0.3),
        "decoder.bias": rand(D, scale=0.3),
    }
    name = "Llama3_1-8B-Base-L3R-8x"
    place("llama-scope", name, "checkpoints")
    save_file(tensors(), OUT / "llama-scope" / name / "checkpoints/final.safetensors")
    hyper = {"d_model": D, "d_sae": F, "hook_point_in": "blocks.3.hook_resid_post", "jump_relu_threshold": 0.35, "dataset_average_activation_norm": {"in": 1.7, "out": 1.7}}
    (OUT / "llama-scope" / name / "hyperparams.json").write_text(json.dumps(hyper))
    REPO["folder"] = OUT / "llama-scope"
    scale = math.sqrt(D) / 1.7
    record("llama-scope/first", load(loaders.llama_scope_sae_huggingface_loader, "fnlp/x", name, scale=scale))

    later = place("llama-scope", "800M-Slimpajama-0-OpenR1-Math-220k", "L3R")
    save_file({**tensors(), "log_jumprelu_threshold": rand(F, scale=0.5) - 1}, later / "sae_weights.safetensors")
    (later / "config.json").write_text(json.dumps({"d_model": D, "expansion_factor": F / D, "hook_point_in": "blocks.3.hook_resid_post"}))
    record("llama-scope/later", load(loaders.llama_scope_r1_distill_sae_huggingface_loader, "fnlp/y", "800M-Slimpajama-0-OpenR1-Math-220k/L3R", {"d_sae": F}, scale=1.25))


def torch_files():
    overrides = {"d_in": D, "d_sae": F}

    def linear(first, second):
        layers = torch.nn.ModuleDict({first: torch.nn.Linear(D, F), second: torch.nn.Linear(F, D)})
        return randomise(layers).state_dict()

    name = "Llama-3.1-8B-Instruct-SAE-l19"
    REPO["folder"] = place("torch", "Goodfire", name)
    torch.save(linear("encoder_linear", "decoder_linear"), REPO["folder"] / f"{name}.pth")
    record("torch/goodfire", load(loaders.get_goodfire_huggingface_loader, f"Goodfire/{name}", f"{name}.pth", overrides))

    name = "DeepSeek-R1-Distill-Llama-8B-SAE-l19"
    REPO["folder"] = place("torch", "qresearch", name)
    torch.save({k: v.to(torch.bfloat16) for k, v in linear("encoder", "decoder").items()}, REPO["folder"] / f"{name}.pt")
    record("torch/deepseek-r1", load(loaders.deepseek_r1_sae_huggingface_loader, f"qresearch/{name}", f"{name}.pt", overrides))

    name = f"SAE-Res-Qwen3-1.7B-Base-W32K-L0_{K}"
    REPO["folder"] = place("torch", "Qwen", name)
    state = {"W_enc": rand(F, D, scale=0.6), "W_dec": rand(F, D, scale=0.6).T, "b_enc": rand(F, scale=0.3), "b_dec": rand(D, scale=0.3)}
    torch.save(state, REPO["folder"] / "layer5.sae.pt")
    record("torch/qwen-scope", load(loaders.qwen_scope_sae_huggingface_loader, f"Qwen/{name}", "layer5.sae.pt", overrides))

    REPO["folder"] = place("torch", "attn")
    state = {"W_enc": rand(D, F, scale=0.6), "W_dec": rand(F, D, scale=0.6), "b_enc": rand(F, scale=0.3), "b_dec": rand(D, scale=0.3)}
    torch.save(state, REPO["folder"] / "gpt2-small_L3_Hcat_z.pt")
    (REPO["folder"] / "gpt2-small_L3_Hcat_z_cfg.json").write_text(json.dumps({"act_size": D, "dict_size": F, "act_name": "blocks.3.attn.hook_z"}))
    record("torch/attn-saes", load(loaders.connor_rob_hook_z_huggingface_loader, "ckkissane/x", "gpt2-small_L3_Hcat_z.pt"))


def saelens():
    """What SAELens writes itself, beyond make.py: normalisations, architectures, transcoders, and older files."""
    from sae_lens.saes import abstopk_sae, gated_sae, jumprelu_sae, matching_pursuit_sae, standard_sae, topk_sae, transcoder
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    meta = lambda **more: SAEMetadata(model_name="example/model", hook_name="blocks.3.hook_mlp_out", context_size=64, prepend_bos=True, **more)
    common = lambda **more: {"d_in": D, "d_sae": F, "metadata": meta(), **more}
    topk, jump, gated, standard = topk_sae.TopKSAEConfig, jumprelu_sae.JumpReLUSAEConfig, gated_sae.GatedSAEConfig, standard_sae.StandardSAEConfig
    code = {"d_out": 4, "apply_b_dec_to_input": False, "metadata": meta(hook_name_out="blocks.3.hook_mlp_out")}
    cases = {
        "topk-layer-norm": topk_sae.TopKSAE(topk(**common(k=K, normalize_activations="layer_norm"))),
        "standard-constant-norm": standard_sae.StandardSAE(standard(**common(normalize_activations="constant_norm_rescale"))),
        "gated-layer-norm": gated_sae.GatedSAE(gated(**common(apply_b_dec_to_input=False, normalize_activations="layer_norm"))),
        "jumprelu-constant-norm": jumprelu_sae.JumpReLUSAE(jump(**common(apply_b_dec_to_input=False, normalize_activations="constant_norm_rescale"))),
        "abstopk": abstopk_sae.AbsTopKSAE(abstopk_sae.AbsTopKSAEConfig(**common(k=K, rescale_acts_by_decoder_norm=True))),
        "matching-pursuit": matching_pursuit_sae.MatchingPursuitSAE(matching_pursuit_sae.MatchingPursuitSAEConfig(**common(max_iterations=4, residual_threshold=0.05, apply_b_dec_to_input=False))),
        "transcoder": transcoder.Transcoder(transcoder.TranscoderConfig(**{**common(), **code})),
        "skip-transcoder": transcoder.SkipTranscoder(transcoder.SkipTranscoderConfig(**{**common(), **code})),
        "jumprelu-transcoder": transcoder.JumpReLUTranscoder(transcoder.JumpReLUTranscoderConfig(**{**common(normalize_activations="layer_norm"), **code})),
        "jumprelu-skip-transcoder": transcoder.JumpReLUSkipTranscoder(transcoder.JumpReLUSkipTranscoderConfig(**{**common(), **code})),
    }
    for name, sae in cases.items():
        randomise(sae)
        with torch.no_grad():
            if "jumprelu" in name:
                sae.threshold.copy_(torch.rand(F, generator=GENERATOR) * 0.8 - 0.2)
            if name == "matching-pursuit":
                sae.W_dec.copy_(sae.W_dec / sae.W_dec.norm(dim=-1, keepdim=True))
        folder = place("saelens", name)
        sae.save_model(folder)
        record(f"saelens/{name}", SAE.load_from_disk(folder))

    # Whitened and not folded: the matrices are in a file of the training checkpoint, and SAELens folds them by this function.
    for name, sae in {
        "whitened-topk": topk_sae.TopKSAE(topk(**common(k=K, rescale_acts_by_decoder_norm=True, normalize_activations="covariance_whitening"))),
        "whitened-gated": gated_sae.GatedSAE(gated(**common(apply_b_dec_to_input=False, normalize_activations="covariance_whitening"))),
    }.items():
        folder = place("saelens", name)
        randomise(sae).save_model(folder)
        basis = torch.linalg.qr(rand(D, D))[0]
        spread = torch.rand(D, generator=GENERATOR) + 0.5
        mean = rand(D, scale=0.5)
        whitening = {"mean": mean, "matrix": (basis * spread).contiguous(), "inverse_matrix": (basis / spread).T.contiguous()}
        whitening = {k: v.double() for k, v in whitening.items()}
        save_file(whitening, folder / "activation_whitening.safetensors")
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": None, "has_whitening": True}))
        sae.fold_activation_whitening(whitening["mean"], whitening["matrix"], whitening["inverse_matrix"])
        record(f"saelens/{name}", sae)

    # A checkpoint of BatchTopK training, scaled and not folded, and the inference model that SAELens makes of it.
    config = BatchTopKTrainingSAEConfig(**common(k=2.5, rescale_acts_by_decoder_norm=True, normalize_activations="expected_average_only_in"))
    training = randomise(BatchTopKTrainingSAE(config))
    training.topk_threshold.fill_(0.8)
    folder = place("saelens", "batchtopk-training")
    training.save_model(folder)
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 1.5, "has_whitening": False}))
    training.fold_activation_norm_scaling_factor(1.5)
    inference = place("saelens", "batchtopk-inference")
    training.save_inference_model(inference)
    record("saelens/batchtopk-training", SAE.load_from_disk(inference))
    shutil.rmtree(inference)

    # Before 6.0: metadata beside the other fields, older names of keys, a scaling factor that is all ones.
    old = place("saelens", "legacy-gated")
    sae = randomise(gated_sae.GatedSAE(gated(**common())))
    save_file({**sae.state_dict(), "scaling_factor": torch.ones(F)}, old / "sae_weights.safetensors")
    (old / "cfg.json").write_text(json.dumps({
        "architecture": "gated", "d_in": D, "d_sae": F, "dtype": "torch.float32", "device": "cpu", "model_name": "example/model", "hook_point": "blocks.2.attn.hook_z",
        "hook_point_layer": 2, "hook_point_head_index": None, "activation_fn_str": "relu", "normalize_activations": None, "finetuning_scaling_factor": False, "context_size": 64}))
    record("saelens/legacy-gated", SAE.load_from_disk(old))


def mwhanna():
    REPO["folder"] = place("mwhanna")
    tensors = {"W_enc": rand(F, D, scale=0.6), "W_dec": rand(F, D, scale=0.6), "b_enc": rand(F, scale=0.3), "b_dec": rand(D, scale=0.3)}
    save_file(tensors, REPO["folder"] / "layer_6.safetensors")
    # SAELens takes sizes and the model from these; the weights say the sizes too.
    configs = {"wandb-config.yaml": f"d_model:\n  value: {D}\nd_feature:\n  value: {F}\nbatch_size:\n  value: 64\n", "config.yaml": "model_name: Qwen/Qwen3-4B\n"}
    for name, text in configs.items():
        (REPO["folder"] / name).write_text(text)
    record("mwhanna", load(loaders.mwhanna_transcoder_huggingface_loader, "mwhanna/qwen3-4b-transcoders", "layer_6.safetensors"))
    for name in configs:
        (REPO["folder"] / name).unlink()


def main():
    if OUT.exists():
        shutil.rmtree(OUT)
    OUT.mkdir(parents=True)
    for make in (dictionary_learning, sparsify, gemma_scope, gemma_scope_2, llama_scope, torch_files, saelens, mwhanna):
        make()
    save_file(GOLDEN, OUT / "golden.safetensors")
    (Path(__file__).parent / "versions-formats.txt").write_text(
        f"python {sys.version.split()[0]}\ntorch {torch.__version__}\nsafetensors {safetensors.__version__}\nnumpy {np.__version__}\n"
        + "".join(f"{name} {version(name)}\n" for name in ("sae-lens", "dictionary-learning", "eai-sparsify"))
    )


if __name__ == "__main__":
    main()
