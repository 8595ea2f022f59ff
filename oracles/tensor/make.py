"""Goldens of packages/tensor from PyTorch, Hugging Face transformers and SAELens.

    python oracles/tensor/make.py packages/tensor/src/testing/goldens/torch.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values; results are computed in f64 (rotary embedding: f32, as models do) and stored as f32, little-endian,
base64, so that the file is exact and small. Writes versions.txt beside this script.
"""

import base64
import json
import pathlib
import platform
import sys

import numpy
import sae_lens
import torch
import torch.nn.functional as F
import transformers
from sae_lens.saes.jumprelu_sae import JumpReLU, Step
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding, apply_rotary_pos_emb

torch.manual_seed(20260101)
torch.set_num_threads(1)


def normal(*shape, scale=1.0):
    """f32 values, held as f64 so that what follows is computed in f64."""
    return (scale * torch.randn(*shape)).float().double()


def pack(tensor):
    tensor = tensor.detach().contiguous()
    if tensor.dtype in (torch.int64, torch.int32):
        return {"shape": list(tensor.shape), "i32": base64.b64encode(tensor.to(torch.int32).numpy().tobytes()).decode()}
    return {"shape": list(tensor.shape), "f32": base64.b64encode(tensor.float().numpy().tobytes()).decode()}


def case(**tensors):
    return {name: pack(tensor) if isinstance(tensor, torch.Tensor) else tensor for name, tensor in tensors.items()}


def unary():
    x = torch.cat([torch.linspace(-12, 12, 97), normal(64, scale=3).float()]).float().double()
    positive = x.abs() + 0.01
    positive = positive.float().double()
    functions = {
        "abs": torch.abs, "exp": torch.exp, "gelu": F.gelu, "geluTanh": lambda v: F.gelu(v, approximate="tanh"), "neg": torch.neg,
        "relu": F.relu, "sigmoid": torch.sigmoid, "silu": F.silu, "square": torch.square, "tanh": torch.tanh,
    }
    of_positive = {"log": torch.log, "rsqrt": torch.rsqrt, "sqrt": torch.sqrt}
    results = {name: pack(function(x)) for name, function in functions.items()}
    results |= {name: pack(function(positive)) for name, function in of_positive.items()}
    return {"x": pack(x), "positive": pack(positive), "positiveOperators": list(of_positive), "results": results}


def matmul():
    a, b = normal(7, 19), normal(19, 11)
    batched_a, batched_b = normal(2, 3, 5, 9), normal(2, 3, 9, 6)
    x, weight, bias = normal(2, 4, 13), normal(10, 13), normal(10)
    return {
        "plain": case(a=a, b=b, aT=a.T, bT=b.T, out=a @ b, half=0.5 * (a @ b)),
        "batched": case(a=batched_a, b=batched_b, out=batched_a @ batched_b),
        "linear": case(x=x, weight=weight, bias=bias, out=F.linear(x, weight, bias), plain=F.linear(x, weight)),
    }


def norm():
    x, weight = normal(5, 24, scale=2.5), normal(24)
    module = LlamaRMSNorm(24, eps=1e-5).double()
    module.weight.data = weight
    # transformers computes the norm in f32 whatever the input; that is the model's definition, so the golden is as exact as f32.
    return case(x=x, weight=weight, epsilon=1e-5, out=module(x))


def rope():
    config = LlamaConfig(hidden_size=48, num_attention_heads=3, num_key_value_heads=3, rope_theta=10000.0, max_position_embeddings=4096)
    rotary = LlamaRotaryEmbedding(config)
    x = normal(2, 6, 3, 16).float()
    positions = torch.tensor([[0, 1, 2, 3, 4, 5], [7, 100, 511, 512, 2047, 3000]])
    cos, sin = rotary(x, positions)
    out, _ = apply_rotary_pos_emb(x.transpose(1, 2), x.transpose(1, 2), cos, sin)
    return case(x=x, positions=positions.reshape(-1), base=10000.0, out=out.transpose(1, 2), cos=cos[1, :, :8], sin=sin[1, :, :8])


def attention():
    cases = {}
    for name, past, heads, kv_heads in (("prefill", 0, 4, 2), ("cached", 5, 6, 2), ("oneKeyHead", 2, 3, 1), ("plain", 0, 2, 2)):
        length, d_head = 6, 8
        q, k, v = normal(2, length, heads, d_head), normal(2, past + length, kv_heads, d_head), normal(2, past + length, kv_heads, d_head)
        mask = torch.ones(length, past + length, dtype=torch.bool).tril(past)
        parts = [part.transpose(1, 2) for part in (q, k, v)]
        out = F.scaled_dot_product_attention(*parts, attn_mask=mask, scale=d_head**-0.5, enable_gqa=True)
        cases[name] = case(q=q, k=k, v=v, scale=d_head**-0.5, out=out.transpose(1, 2))
    return cases


def softmax():
    x = normal(6, 50, scale=6)
    targets = torch.tensor([3, 0, 49, -100, 17, 17])
    return case(x=x, targets=targets, softmax=F.softmax(x, -1), logSoftmax=F.log_softmax(x, -1), crossEntropy=F.cross_entropy(x, targets, reduction="none"))


def adam():
    cases = {}
    for name, betas, decay in (("adamW", (0.9, 0.999), 0.1), ("adam", (0.9, 0.99), 0.0), ("withoutMomentum", (0.0, 0.999), 0.0), ("withoutMomentumDecayed", (0.0, 0.999), 0.05)):
        start = normal(9)
        parameter = torch.nn.Parameter(start.clone())
        optimiser = torch.optim.AdamW([parameter], lr=0.03, betas=betas, eps=1e-8, weight_decay=decay)
        gradients, after = [], []
        for step in range(8):
            gradient = normal(9, scale=10.0 ** (step % 3 - 1))
            parameter.grad = gradient.clone()
            optimiser.step()
            gradients.append(gradient)
            after.append(parameter.detach().clone())
        cases[name] = case(start=start, gradients=torch.stack(gradients), after=torch.stack(after), learningRate=0.03, beta1=betas[0], beta2=betas[1], epsilon=1e-8, weightDecay=decay)
    return cases


def sae_parameters(d_in, d_sae):
    encoder, decoder = normal(d_sae, d_in, scale=0.5), F.normalize(normal(d_sae, d_in), dim=1).float().double()
    encoder_bias, decoder_bias = normal(d_sae, scale=0.1), normal(d_in, scale=0.1)
    return [tensor.requires_grad_() for tensor in (encoder, decoder, encoder_bias, decoder_bias)]


def sae_results(loss, x_hat, parameters, **others):
    loss.backward()
    encoder, decoder, encoder_bias, decoder_bias = parameters
    return case(
        encoder=encoder, decoder=decoder, encoderBias=encoder_bias, decoderBias=decoder_bias, reconstruction=x_hat, loss=loss.reshape(1),
        dEncoder=encoder.grad, dDecoder=decoder.grad, dEncoderBias=encoder_bias.grad, dDecoderBias=decoder_bias.grad, **others,
    )


def top_k_sae():
    x, k = normal(12, 8), 4
    parameters = sae_parameters(8, 20)
    encoder, decoder, encoder_bias, decoder_bias = parameters
    pre = x @ encoder.T + encoder_bias
    top = pre.topk(k, dim=-1)
    features = torch.zeros_like(pre).scatter(-1, top.indices, F.relu(top.values))
    x_hat = features @ decoder + decoder_bias
    loss = ((x - x_hat) ** 2).sum(-1).mean()
    return sae_results(loss, x_hat, parameters, x=x, k=k, features=features)


def jump_relu_sae():
    x, bandwidth, coefficient = normal(40, 8), 0.4, 0.3
    parameters = sae_parameters(8, 20)
    encoder, decoder, encoder_bias, decoder_bias = parameters
    threshold = (0.3 + normal(20).abs()).float().double().requires_grad_()
    pre = x @ encoder.T + encoder_bias
    features = JumpReLU.apply(pre, threshold, bandwidth, False)
    x_hat = features @ decoder + decoder_bias
    l0 = Step.apply(pre, threshold, bandwidth, False).sum(-1)
    loss = ((x - x_hat) ** 2).sum(-1).mean() + coefficient * l0.mean()
    result = sae_results(loss, x_hat, parameters, x=x, bandwidth=bandwidth, coefficient=coefficient, threshold=threshold, features=features, l0=l0)
    return result | {"dThreshold": pack(threshold.grad)}


def main():
    out = pathlib.Path(sys.argv[1])
    goldens = {
        "unary": unary(), "matmul": matmul(), "rmsNorm": norm(), "rope": rope(), "attention": attention(), "softmax": softmax(), "adam": adam(),
        "topKSae": top_k_sae(), "jumpReluSae": jump_relu_sae(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(goldens, indent=1) + "\n")
    versions = {
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "sae-lens": sae_lens.__version__, "numpy": numpy.__version__,
    }
    text = "".join(f"{name} {version}\n" for name, version in versions.items())
    pathlib.Path(__file__).with_name("versions.txt").write_text(text)


main()
