"""Makes recurrent.npz, what PyTorch gives for bidirectional recurrent layers; run it from the root, with PyTorch.

Sequences are packed by their lengths, first states are given, and the gradient comes from y and from the last states.
Made with PyTorch 2.13.0 and NumPy 2.4, in float64. Arrays have the names and layouts of minnet; those of the two
directions, forward and reverse, are stacked.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

N, T, D, H = 4, 5, 3, 2
LENGTHS = [3, 5, 1, 4]


def tensor(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def numpy(tensors):
    return np.stack([each.detach().numpy() for each in tensors])


def parameters(kind, module, gradients):
    """W, U, b, and c of a GRU, or their gradients, each of both directions. b has PyTorch's two biases in it."""
    found = {}
    for direction in ("", "_reverse"):
        arrays = [getattr(module, f"{name}_l0{direction}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        W, U, b, other = [(array.grad if gradients else array.detach()).numpy() for array in arrays]
        if not gradients:
            b = b + other if kind != "GRU" else b + np.r_[other[: 2 * H], np.zeros(H)]
        named = {"W": W.T, "U": U.T, "b": b} | ({"c": other[2 * H :]} if kind == "GRU" else {})
        for name, array in named.items():
            found.setdefault(f"d{name}" if gradients else name, []).append(array)
    return {name: np.stack(both) for name, both in found.items()}


def results(kind, given):
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(D, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    x, first = tensor(given["x"]), [tensor(given[name]) for name in (("h", "c") if kind == "LSTM" else ("h",))]
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    y, last = module(packed, tuple(first) if kind == "LSTM" else first[0])
    y, _ = pad_packed_sequence(y, batch_first=True, total_length=T)
    last = last if kind == "LSTM" else (last,)
    dlast = [torch.tensor(given[name]) for name in ("dh_last", "dc_last")]
    loss = (y * torch.tensor(given["dy"])).sum() + sum((a * b).sum() for a, b in zip(last, dlast))
    loss.backward()
    found = {"y": y.detach().numpy(), "last": numpy(last), "dx": x.grad.numpy()}
    found["dfirst"] = np.stack([state.grad.numpy() for state in first])
    return found | parameters(kind, module, False) | parameters(kind, module, True)


def main():
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(N, T, D)), "dy": rng.normal(size=(N, T, 2 * H))}
    given |= {name: rng.normal(size=(2, N, H)) for name in ("h", "c", "dh_last", "dc_last")}
    arrays = given | {"lengths": np.array(LENGTHS)}
    for kind in ("RNN", "LSTM", "GRU"):
        arrays |= {f"{kind}.{name}": array for name, array in results(kind, given).items()}
    np.savez_compressed(Path(__file__).parent / "recurrent.npz", **arrays)


if __name__ == "__main__":
    main()
