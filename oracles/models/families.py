"""Small checkpoints of every model family with goldens from transformers in f32: what packages/models/src/parity.test.ts compares with.

  python oracles/models/families.py --out packages/models/src/__fixtures__/families [--only NAME ...]

gemma3-images, beside the folder of cases, is a model with images whose text model is read, with logits alone.

Each case is a folder: model.safetensors (random weights in f16, norms and biases included, so that forgetting one shows),
config.json as transformers 5 writes it, config.v4.json with the same model as transformers 4 wrote it (checked: transformers 5
reads both as one), and golden.safetensors (f32):

  tokens, logits, loss           tokens [2, 12]; the loss is the mean cross-entropy of the next token
  SITE                           values at hook sites, by TransformerLens's names, from forward hooks on transformers' modules;
                                 of norms the scale and the normalised values, computed from the module's input and checked
                                 against its output
  gradient.NAME                  the loss's gradient to each parameter
  greedy                         12 tokens after the first row

lens-sites.json, beside the folder of cases, holds the names of the hooks that TransformerLens's HookedTransformer comes by with the
same architecture, in its order: the names that ours must be.

Windows, soft caps and original lengths are small enough to matter at 12 tokens. Seed: 11 plus the number of the case. Needs torch,
transformers, transformer-lens, safetensors; the versions used are in versions.txt.
"""

import argparse
import copy
import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)

LLAMA = dict(
    vocab_size=43,
    hidden_size=24,
    intermediate_size=28,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=48,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)
NEOX = dict(
    model_type="gpt_neox",
    vocab_size=43,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=48,
    layer_norm_eps=1e-5,
    hidden_act="gelu",
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=None,
)
GPT2 = dict(
    model_type="gpt2",
    vocab_size=43,
    n_positions=32,
    n_embd=24,
    n_layer=2,
    n_head=3,
    bos_token_id=42,
    eos_token_id=42,
    activation_function="gelu_new",
)
GEMMA = dict(
    hidden_activation="gelu_pytorch_tanh",
    query_pre_attn_scalar=10,
    sliding_window=4,
    pad_token_id=0,
    attention_bias=False,
)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=12, beta_fast=4.0, beta_slow=1.0)

# Each as transformers 4 spelled it: rope_theta and rope_scaling, no layer_types.
CASES = {
    "llama": {**LLAMA, "model_type": "llama", "rope_theta": 500.0, "rope_scaling": None},
    "llama-biases-llama3": {
        **LLAMA,
        "model_type": "llama",
        "attention_bias": True,
        "mlp_bias": True,
        "rope_theta": 1000.0,
        "rope_scaling": LLAMA3,
        "tie_word_embeddings": True,
    },
    "llama-linear": {**LLAMA, "model_type": "llama", "rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "llama-yarn": {**LLAMA, "model_type": "llama", "rope_theta": 100.0, "rope_scaling": YARN},
    "mistral": {**LLAMA, "model_type": "mistral", "sliding_window": 5, "rope_theta": 10000.0},
    "qwen2": {
        **{key: value for key, value in LLAMA.items() if key != "head_dim"},
        "model_type": "qwen2",
        "num_hidden_layers": 3,
        "use_sliding_window": True,
        "sliding_window": 4,
        "max_window_layers": 2,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
    },
    "qwen3": {**LLAMA, "model_type": "qwen3", "rope_theta": 1000000.0, "use_sliding_window": False, "head_dim": 10},
    "olmo2": {**{key: value for key, value in LLAMA.items() if key != "head_dim"}, "model_type": "olmo2", "rope_theta": 500000.0},
    "gemma2": {
        **LLAMA,
        **GEMMA,
        "model_type": "gemma2",
        "num_hidden_layers": 3,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
        "rope_theta": 10000.0,
    },
    "gemma3": {
        **LLAMA,
        **GEMMA,
        "model_type": "gemma3_text",
        "hidden_size": 16,
        "intermediate_size": 20,
        "num_hidden_layers": 7,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "sliding_window_pattern": 6,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 100.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "gpt2": GPT2,
    "gpt2-variants": {
        **GPT2,
        "n_inner": 40,
        "scale_attn_by_inverse_layer_idx": True,
        "activation_function": "relu",
        "tie_word_embeddings": False,
    },
    "gpt-neox": {**NEOX, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": True, "tie_word_embeddings": False},
    "gpt-neox-sequential": {
        **NEOX,
        "rotary_pct": 1.0,
        "rotary_emb_base": 100,
        "use_parallel_residual": False,
        "attention_bias": False,
        "tie_word_embeddings": True,
    },
}
LENGTH = 12


def build(v4, seed):
    fields = json.loads(json.dumps(v4))
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    gemma = v4["model_type"].startswith("gemma")
    done = set()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if value.data_ptr() in done:
                continue
            done.add(value.data_ptr())
            noise = torch.randn_like(value)
            if value.dim() == 1 and key.endswith("weight"):
                value.copy_((0 if gemma else 1) + 0.3 * noise)
            elif value.dim() == 1:
                value.copy_(0.3 * noise)
            elif "embed" in key or "wte" in key or "wpe" in key:
                value.copy_(noise / (value.shape[-1] ** 0.5 if gemma or getattr(config, "tie_word_embeddings", False) else 1))
            else:
                inputs = value.shape[0] if v4["model_type"] == "gpt2" and "lm_head" not in key else value.shape[1]
                value.copy_(1.5 * noise / inputs**0.5)
            # What the file holds, exactly.
            value.copy_(value.half().float())
    return model


def layers_of(model):
    base = model.base_model
    return base.h if hasattr(base, "h") else base.layers


class Sites:
    """Forward hooks that put values under TransformerLens's names."""

    def __init__(self, model):
        self.values = {}
        self.model = model
        c = model.config
        self.heads = c.num_attention_heads
        self.kv = getattr(c, "num_key_value_heads", None) or self.heads
        base = model.base_model
        kind = c.model_type
        embed = base.wte if kind == "gpt2" else model.get_input_embeddings()
        self.out(embed, "hook_embed")
        if kind == "gpt2":
            self.out(base.wpe, "hook_pos_embed", lambda x: x.expand(2, -1, -1))
        final = {"gpt2": "ln_f", "gpt_neox": "final_layer_norm"}.get(kind, "norm")
        self.norm(getattr(base, final), "ln_final")
        for index, layer in enumerate(layers_of(model)):
            at = f"blocks.{index}."
            self.before(layer, at + "hook_resid_pre")
            self.out(layer, at + "hook_resid_post")
            {"gpt2": self.gpt2, "gpt_neox": self.neox}.get(kind, self.llama)(layer, at, kind)

    def keep(self, name, value):
        assert name not in self.values, name
        self.values[name] = value.detach().float().contiguous().clone()

    def out(self, module, name, change=lambda x: x):
        module.register_forward_hook(lambda _m, _i, o: self.keep(name, change(o[0] if isinstance(o, tuple) else o)))

    def before(self, module, name, change=lambda x: x):
        def hook(_module, args, kwargs):
            self.keep(name, change(args[0] if args else kwargs["hidden_states"]))

        module.register_forward_pre_hook(hook, with_kwargs=True)

    def norm(self, module, at, change=lambda x: x):
        def hook(_module, args, output):
            x = args[0].double()
            layer = isinstance(module, torch.nn.LayerNorm)
            epsilon = getattr(module, "eps", None) or getattr(module, "variance_epsilon", None)
            if layer:
                x = x - x.mean(-1, keepdim=True)
            scale = (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
            weight = module.weight.double() + (1 if "Gemma" in type(module).__name__ else 0)
            again = x / scale * weight + (module.bias.double() if layer else 0)
            assert (again - output.double()).abs().max() < 1e-4, at
            self.keep(at + ".hook_scale", change(scale))
            self.keep(at + ".hook_normalized", change(x / scale))

        module.register_forward_hook(hook)

    def split(self, count):
        return lambda x: x.reshape(*x.shape[:2], count, -1)

    def attention(self, module, at, query, key, value):
        for name, (projection, count) in {"q": (query, self.heads), "k": (key, self.kv), "v": (value, self.kv)}.items():
            self.out(projection, f"{at}attn.hook_{name}", self.split(count))

    def llama(self, layer, at, kind):
        attention, mlp = layer.self_attn, layer.mlp
        self.attention(attention, at, attention.q_proj, attention.k_proj, attention.v_proj)
        self.before(attention.o_proj, at + "attn.hook_z", self.split(self.heads))
        for name in ("q_norm", "k_norm"):
            if hasattr(attention, name):
                self.head_norm(getattr(attention, name), f"{at}attn.{name}")
        self.out(mlp.gate_proj, at + "mlp.hook_pre")
        self.out(mlp.up_proj, at + "mlp.hook_pre_linear")
        self.before(mlp.down_proj, at + "mlp.hook_post")
        if kind.startswith("gemma"):
            names = {"ln1": "input", "ln1_post": "post_attention", "ln2": "pre_feedforward", "ln2_post": "post_feedforward"}
            attn_out, mlp_out = layer.post_attention_layernorm, layer.post_feedforward_layernorm
            middle = layer.pre_feedforward_layernorm
        elif kind == "olmo2":
            names = {"ln1": "post_attention", "ln2": "post_feedforward"}
            attn_out, mlp_out, middle = layer.post_attention_layernorm, layer.post_feedforward_layernorm, mlp
        else:
            names = {"ln1": "input", "ln2": "post_attention"}
            attn_out, mlp_out, middle = attention, mlp, layer.post_attention_layernorm
        for site, name in names.items():
            self.norm(getattr(layer, name + "_layernorm"), at + site)
        self.out(attn_out, at + "hook_attn_out")
        self.out(mlp_out, at + "hook_mlp_out")
        self.before(middle, at + "hook_resid_mid")

    def head_norm(self, module, at):
        """Norms over the width see [batch, pos, width], those over heads [batch, pos, head, d_head], Gemma's with the axes swapped."""
        self.norm(module, at, lambda x: x.transpose(1, 2) if "Gemma" in type(module).__name__ else x)

    def gpt2(self, layer, at, _kind):
        width = self.model.config.n_embd
        for index, name in enumerate("qkv"):
            cut = lambda x, index=index: self.split(self.heads)(x[..., index * width : (index + 1) * width])
            self.out(layer.attn.c_attn, f"{at}attn.hook_{name}", cut)
        self.before(layer.attn.c_proj, at + "attn.hook_z", self.split(self.heads))
        self.norm(layer.ln_1, at + "ln1")
        self.norm(layer.ln_2, at + "ln2")
        self.out(layer.attn, at + "hook_attn_out")
        self.before(layer.ln_2, at + "hook_resid_mid")
        self.out(layer.mlp.c_fc, at + "mlp.hook_pre")
        self.before(layer.mlp.c_proj, at + "mlp.hook_post")
        self.out(layer.mlp, at + "hook_mlp_out")

    def neox(self, layer, at, _kind):
        for index, name in enumerate("qkv"):
            cut = lambda x, index=index: self.split(self.heads)(x).chunk(3, -1)[index]
            self.out(layer.attention.query_key_value, f"{at}attn.hook_{name}", cut)
        self.before(layer.attention.dense, at + "attn.hook_z", self.split(self.heads))
        self.norm(layer.input_layernorm, at + "ln1")
        self.norm(layer.post_attention_layernorm, at + "ln2")
        self.out(layer.attention, at + "hook_attn_out")
        self.out(layer.mlp.dense_h_to_4h, at + "mlp.hook_pre")
        self.before(layer.mlp.dense_4h_to_h, at + "mlp.hook_post")
        self.out(layer.mlp, at + "hook_mlp_out")
        if not self.model.config.use_parallel_residual:
            self.before(layer.post_attention_layernorm, at + "hook_resid_mid")


def stored(model, key):
    """What checkpoints call a parameter: transformers 5 renamed GPT-NeoX's head in memory only."""
    return "embed_out.weight" if key == "lm_head.weight" and model.config.model_type == "gpt_neox" else key


def golden(model, seed):
    vocabulary = model.config.vocab_size
    tokens = torch.randint(0, vocabulary, (2, LENGTH), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        greedy = model.generate(
            tokens[:1],
            attention_mask=torch.ones_like(tokens[:1]),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    sites = Sites(model)
    result = model(tokens, labels=tokens, output_attentions=True, use_cache=False)
    result.loss.backward()
    values = {
        "tokens": tokens.to(torch.int32),
        "greedy": greedy[0, LENGTH:].to(torch.int32),
        "logits": result.logits,
        "loss": result.loss.reshape(1),
        **sites.values,
        **{f"blocks.{index}.attn.hook_pattern": pattern for index, pattern in enumerate(result.attentions)},
        **{f"gradient.{stored(model, key)}": value.grad for key, value in model.named_parameters()},
    }
    top = result.logits.detach().softmax(-1).max(-1).values
    print("  largest probability, mean:", round(top.mean().item(), 3), " loss:", round(result.loss.item(), 3), "of", round(math.log(vocabulary), 3))
    return {key: value.detach().contiguous().clone() for key, value in values.items()}


def configs(model, v4, folder):
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    path = folder / "config.json"
    v5 = json.loads(path.read_text())
    v5.pop("transformers_version", None)
    path.write_text(json.dumps(v5, indent=2) + "\n")
    old = {"architectures": v5["architectures"], **v4, "torch_dtype": "float16"}
    (folder / "config.v4.json").write_text(json.dumps(old, indent=2) + "\n")
    again = AutoConfig.from_pretrained(folder, _configuration_file="config.v4.json").to_dict()
    new = AutoConfig.from_pretrained(folder).to_dict()
    differing = {key for key in {*again, *new} if again.get(key) != new.get(key)}
    assert differing <= {"_name_or_path", "dtype", "sliding_window_pattern", "_sliding_window_pattern", "architectures"}, differing


def lens_names(model):
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    c = model.config
    kind = c.model_type
    gpt2, neox = kind == "gpt2", kind == "gpt_neox"
    # What decides which hooks there are; the rest is of any size.
    cfg = HookedTransformerConfig(
        n_layers=c.num_hidden_layers,
        d_model=24,
        n_ctx=16,
        d_head=6,
        n_heads=4,
        n_key_value_heads=None if gpt2 or neox else 2,
        d_mlp=8,
        d_vocab=c.vocab_size,
        act_fn="gelu",
        normalization_type="LN" if gpt2 or neox else "RMS",
        final_rms=not (gpt2 or neox),
        gated_mlp=not (gpt2 or neox),
        positional_embedding_type="standard" if gpt2 else "rotary",
        rotary_dim=None if gpt2 else 6,
        parallel_attn_mlp=neox and c.use_parallel_residual,
        use_qk_norm=kind in ("qwen3", "gemma3_text"),
        use_normalization_before_and_after=kind.startswith("gemma"),
        original_architecture=type(model).__name__,
        device="cpu",
        default_prepend_bos=False,
    )
    _, cache = HookedTransformer(cfg).run_with_cache(torch.zeros(1, 3, dtype=torch.long))
    return [name for name in cache.keys() if not name.startswith("unembed.")]


def with_images(out):
    """Gemma 3 with images: the text model inside another one, whose vision tower a text model leaves out. Logits only."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {key: value for key, value in CASES["gemma3"].items() if key not in ("model_type", "eos_token_id")} | {"num_hidden_layers": 2}
    vision = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
    ids = dict(image_token_index=40, boi_token_index=41, eoi_token_index=42, mm_tokens_per_image=4)
    config = Gemma3Config(text_config={**text, "model_type": "gemma3_text"}, vision_config=vision, eos_token_id=[1, 6], **ids)
    torch.manual_seed(5)
    model = Gemma3ForConditionalGeneration._from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for value in model.parameters():
            value.copy_((0.3 * torch.randn_like(value)).half().float())
    copy.deepcopy(model).half().save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    path = out / "config.json"
    written = json.loads(path.read_text())
    written.pop("transformers_version", None)
    path.write_text(json.dumps(written, indent=2) + "\n")
    tokens = torch.randint(0, 40, (1, LENGTH), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        logits = model(tokens).logits
    save_file({"tokens": tokens.to(torch.int32), "logits": logits.contiguous()}, out / "golden.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    names_path = args.out.parent / "lens-sites.json"
    names = json.loads(names_path.read_text()) if names_path.exists() else {}
    if not args.only:
        with_images(args.out.parent / "gemma3-images")
    for index, (name, v4) in enumerate(CASES.items()):
        if args.only and name not in args.only:
            continue
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        model = build(v4, 11 + index)
        print(name, sum(value.numel() for value in model.parameters()), "parameters")
        # A copy: half() would round the model's rotary frequencies as well.
        copy.deepcopy(model).half().save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        configs(model, v4, folder)
        save_file(golden(model, 11 + index), folder / "golden.safetensors")
        names[name] = lens_names(model)
    names_path.write_text(json.dumps({name: names[name] for name in CASES if name in names}, indent=1) + "\n")


main()
