"""Makes sparse.npz, what PyTorch gives for an embedding with sparse gradients; run it from the root, with PyTorch.

Of each optimizer there are the embedding after every step, and of Adam the moments after the last one.
SparseAdam adds eps to another root than Adam, so it is next to nothing here.
Made with PyTorch 2.13.0 and NumPy 2.4, in float64.
"""

from pathlib import Path

import numpy as np
import torch

NUM, D, N, STEPS = 12, 3, 5, 6
KINDS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=0.1),
    "Adam": lambda parameters: torch.optim.SparseAdam(parameters, lr=0.1, eps=1e-15),
}


def main():
    rng = np.random.default_rng(0)
    given = {"W": rng.normal(size=(NUM, D)), "ids": rng.integers(0, NUM - 2, (STEPS, N))}
    given["dy"] = rng.normal(size=(STEPS, N, D))
    arrays = dict(given)
    for kind, make in KINDS.items():
        embedding = torch.nn.Embedding(NUM, D, sparse=True, dtype=torch.float64)
        embedding.weight.data = torch.tensor(given["W"])
        optimizer, after = make(embedding.parameters()), []
        for ids, dy in zip(given["ids"], given["dy"]):
            embedding(torch.tensor(ids)).backward(torch.tensor(dy))
            optimizer.step()
            optimizer.zero_grad()
            after.append(embedding.weight.detach().numpy().copy())
        arrays[kind] = np.stack(after)
    state = optimizer.state[embedding.weight]
    arrays |= {"Adam.m": state["exp_avg"].numpy(), "Adam.v": state["exp_avg_sq"].numpy()}
    np.savez_compressed(Path(__file__).parent / "sparse.npz", **arrays)


if __name__ == "__main__":
    main()
