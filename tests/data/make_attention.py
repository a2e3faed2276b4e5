"""Makes attention.npz, what PyTorch gives for attention of padded sequences; run it from the root, with PyTorch.

Made with PyTorch 2.13.0 and NumPy 2.4, in float64. Weights and their gradients are transposed, so that W_in is W_qkv.
Padded queries, which PyTorch leaves as they come, are set to zero; no sample has length 0, for which it gives NaN.
"""

from pathlib import Path

import numpy as np
import torch

N, T, S, D, HEADS = 3, 4, 5, 6, 2


def gradients(attention, x, context, dy, hidden, causal):
    """y and the gradients of x, the context and the parameters."""
    parts = [torch.tensor(array, requires_grad=True) for array in (x, context)]
    mask = torch.triu(torch.ones(x.shape[1], context.shape[1], dtype=torch.bool), 1) if causal else None
    query, key = parts if x is not context else (parts[0], parts[0])
    y, _ = attention(query, key, key, key_padding_mask=torch.tensor(hidden), attn_mask=mask)
    attention.zero_grad()
    y.backward(torch.tensor(dy))
    given = parts[: 1 if x is context else 2]
    grads = [part.grad.numpy() for part in given] + [p.grad.numpy().T for p in attention.parameters()]
    return [y.detach().numpy(), *grads]


def main():
    rng, arrays = np.random.default_rng(0), {}
    attention = torch.nn.MultiheadAttention(D, HEADS, batch_first=True, dtype=torch.float64)
    for name, p in zip(("W_in", "b_in", "W_o", "b_o"), attention.parameters(), strict=True):
        p.data = torch.tensor(0.5 * rng.normal(size=p.shape))
        arrays[name] = p.detach().numpy().T
    arrays["x"], arrays["context"] = rng.normal(size=(N, T, D)), rng.normal(size=(N, S, D))
    arrays["dy"] = rng.normal(size=(N, T, D))
    arrays["lengths"] = lengths = np.array([4, 1, 2])
    padding = np.arange(T) >= lengths[:, None]
    names = ("y", "dx", "dW_in", "db_in", "dW_o", "db_o")
    for kind, causal in (("all", False), ("causal", True)):
        dy = np.where(padding[..., None], 0, arrays["dy"])
        results = gradients(attention, arrays["x"], arrays["x"], dy, padding, causal)
        results[0] = np.where(padding[..., None], 0, results[0])
        arrays |= {f"{kind}_{name}": array for name, array in zip(names, results, strict=True)}
    hidden = np.arange(S) >= lengths[:, None]
    results = gradients(attention, arrays["x"], arrays["context"], arrays["dy"], hidden, False)
    cross_names = ("y", "dx", "dcontext", *names[2:])
    arrays |= {f"cross_{name}": array for name, array in zip(cross_names, results, strict=True)}
    np.savez_compressed(Path(__file__).with_name("attention.npz"), **arrays)


main()
