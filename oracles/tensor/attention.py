"""Goldens of attention and its gradient, from PyTorch.

    python oracles/tensor/attention.py packages/tensor/src/testing/goldens/attention.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values, results are computed in f64. Without a soft cap by scaled_dot_product_attention, with one by its formula as
in transformers' eager attention of Gemma 2 (which rounds to f32 on the way). Masks come from transformers.masking_utils.
Made with the versions in versions.txt.
"""

import sys

import torch
import torch.nn.functional as F
from pack import case, normal, start, write
from transformers.masking_utils import bidirectional_mask_function, causal_mask_function, sliding_window_causal_mask_function

start(20260102)

# name: batch, queries, past keys, heads, key heads, head size, causal, window, soft cap, padding on the left of each batch entry
variants = {
    "prefill": (2, 6, 0, 4, 2, 8, True, None, None, None),
    "cached": (2, 6, 5, 6, 2, 8, True, None, None, None),
    "oneKeyHead": (1, 6, 2, 3, 1, 8, True, None, None, None),
    "plain": (2, 6, 0, 2, 2, 6, True, None, None, None),
    "longer": (1, 37, 3, 2, 1, 16, True, None, None, None),
    "bidirectional": (2, 5, 4, 2, 1, 8, False, None, None, None),
    "window": (1, 19, 7, 2, 2, 8, True, 4, None, None),
    "softCap": (2, 9, 0, 2, 1, 8, True, None, 1.5, None),
    "softCapAndWindow": (1, 13, 2, 4, 2, 8, True, 3, 2.0, None),
    "leftPadding": (3, 7, 0, 2, 1, 8, True, None, None, (0, 3, 5)),
    "everything": (2, 11, 4, 4, 2, 10, True, 6, 1.0, (2, 0)),
    "oneQuery": (2, 1, 12, 4, 2, 8, True, 5, 3.0, (9, 0)),
}


def visibility(batch, length, past, causal, window, padding):
    """[batch, 1, queries, keys], true where a query sees a key."""
    positions, keys = torch.arange(past, past + length)[:, None], torch.arange(past + length)[None, :]
    if window is not None:
        function = sliding_window_causal_mask_function(window)
    else:
        function = causal_mask_function if causal else bidirectional_mask_function
    mask = function(0, 0, positions, keys).expand(batch, 1, length, past + length)
    if padding is None:
        return mask, None
    key_mask = torch.arange(past + length)[None, :] >= torch.tensor(padding)[:, None]
    return mask & key_mask[:, None, None, :], key_mask


def attend(q, k, v, mask, scale, cap):
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    group = q.shape[1] // k.shape[1]
    if cap is None:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)
    else:
        scores = cap * torch.tanh(q @ k.repeat_interleave(group, 1).transpose(2, 3) * scale / cap)
        out = torch.softmax(scores.masked_fill(~mask, -torch.inf), -1) @ v.repeat_interleave(group, 1)
    return out.transpose(1, 2)


def golden(batch, length, past, heads, kv_heads, d_head, causal, window, cap, padding):
    q = normal(batch, length, heads, d_head, scale=1.5).requires_grad_()
    k, v = (normal(batch, past + length, kv_heads, d_head, scale=1.5).requires_grad_() for _ in range(2))
    d_out = normal(batch, length, heads, d_head)
    mask, key_mask = visibility(batch, length, past, causal, window, padding)
    seen = mask.any(-1).transpose(1, 2)[..., None]  # [batch, queries, 1, 1]
    # A row without keys is left out of PyTorch's computation: it would be NaN, or would spread NaN to the gradients.
    out = attend(q, k, v, mask | ~mask.any(-1, keepdim=True), d_head**-0.5, cap) * seen
    out.backward(d_out)
    optional = {"keyMask": key_mask} if key_mask is not None else {}
    return case(
        q=q, k=k, v=v, dOut=d_out, out=out, dq=q.grad, dk=k.grad, dv=v.grad, scale=d_head**-0.5, causal=causal, window=window, softCap=cap,
        **optional,
    )


write(sys.argv[1], {name: golden(*sizes) for name, sizes in variants.items()})
