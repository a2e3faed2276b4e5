"""A model of one's own: are two images of the same digit? One encoder for both, and digits that it has never seen."""

from typing import Any

import numpy as np

import minnet as mn

EPOCHS, BATCH, PAIRS, SEEN = 4, 64, 4000, 7  # SEEN: it is trained on the digits below this one


class Siamese(mn.Layer):
    """Score of a pair    s = c - |e(a) - e(b)|^2,   above 0 for "the same"
    Backward    de(a) = -2 (e(a) - e(b)) ds      de(b) = -de(a)      dc = sum ds

    The encoder has one cache, so it is given the images of both sides in one batch.
    """

    def __init__(self, features: int = 16) -> None:
        self.encoder = mn.Sequential(mn.Linear(64, 64), mn.ReLU(), mn.Linear(64, features))
        self.c = mn.Parameter(1.0, decay=False)
        self.loss = mn.BinaryCrossEntropy()

    def forward(self, pairs: np.ndarray, same: np.ndarray | None = None) -> Any:
        a, b = np.split(self.encoder(np.concatenate([pairs[:, 0], pairs[:, 1]])), 2)
        self.cache = a - b
        scores = self.c.data - (self.cache**2).sum(axis=1, keepdims=True)
        return self.loss(scores, same)  # without a target, its prediction

    def backward(self) -> None:
        ds = self.loss.backward()
        self.c.grad += ds.sum()
        de = -2 * self.cache * ds
        self.encoder.backward(np.concatenate([de, -de]))


def pairs_of(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs, half of them of the same digit and half of two, and whether they are (N, 1)."""
    first, same = rng.integers(len(x), size=PAIRS), np.arange(PAIRS) % 2 == 0
    second = np.array([rng.choice(np.flatnonzero((y == y[i]) == alike)) for i, alike in zip(first, same)])
    return np.stack([x[first], x[second]], axis=1), same[:, None]


def main(epochs: int = EPOCHS) -> float:
    mn.seed(0)
    x, y = mn.load_digits()
    train = pairs_of(x[y < SEEN], y[y < SEEN], mn.generator(0))
    model = Siamese()
    mn.fit(model, mn.Adam(model.parameters(), 0.002), mn.Batches(*train, BATCH), epochs, progress=False)
    print(f"Right of those it was trained on: {(accuracy := mn.evaluate(model, train)['accuracy']):.1%}")
    print("How often a pair of digits that it has never seen is called the same:")
    print("   ", *(f"{b:5}" for b in range(SEEN, 10)))
    for a in range(SEEN, 10):
        pairs = [np.stack([x[y == a][:150], x[y == b][-150:]], axis=1) for b in range(SEEN, 10)]
        print(f"{a:4}", *(f"{(mn.predict(model, pair) > 0.5).mean():5.0%}" for pair in pairs))
    return accuracy


if __name__ == "__main__":
    main()
