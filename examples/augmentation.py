"""Augmentation: digits that are moved and turned at random in every batch, and what a network gains by it."""

from collections.abc import Callable

import numpy as np

import minnet as mn

EPOCHS, BATCH, HIDDEN, LR, MOMENTUM, DECAY = 40, 32, 64, 0.1, 0.9, 1e-4
SHARE, TURN = 0.3, 0.2  # share of images that move along an axis, by -1, 0 or 1 pixels; largest angle in radians
SPLIT = 0  # the seed of the split, the same whatever the seed of the training


def augment(x: np.ndarray, rng: np.random.Generator, share: float = SHARE) -> np.ndarray:
    """Images (N, 8, 8), each turned about its centre and moved; a pixel takes the value of the nearest old one."""
    angle = rng.uniform(-TURN, TURN, (len(x), 1, 1))
    down, right = rng.integers(-1, 2, (2, len(x), 1, 1)) * (rng.random((2, len(x), 1, 1)) < share)
    h, w = np.indices((8, 8)) - 3.5
    from_h = np.rint(np.cos(angle) * h - np.sin(angle) * w + 3.5).astype(int) - down
    from_w = np.rint(np.sin(angle) * h + np.cos(angle) * w + 3.5).astype(int) - right
    inside = (from_h >= 0) & (from_h < 8) & (from_w >= 0) & (from_w < 8)
    return x[np.arange(len(x))[:, None, None], from_h % 8, from_w % 8] * inside


def draw(images: np.ndarray) -> str:
    """8×8 images side by side, two characters a pixel."""
    levels = np.clip(images * 10, 0, 9).astype(int).swapaxes(0, 1)
    return "\n".join("   ".join("".join(" .:-=+*#%@"[v] * 2 for v in row) for row in rows) for rows in levels)


def train(x: np.ndarray, y: np.ndarray, epochs: int, transform: Callable | None) -> mn.Sequential:
    model = mn.Sequential(
        mn.Flatten(), mn.Linear(64, HIDDEN), mn.ReLU(), mn.Linear(HIDDEN, 10), mn.SoftmaxCrossEntropy()
    )
    batches = mn.Batches(x, y, BATCH, transform=transform)
    schedule = mn.linear_decay(LR, epochs * len(batches))
    optimizer = mn.SGD(model.parameters(), schedule, MOMENTUM, weight_decay=DECAY)
    mn.fit(model, optimizer, batches, epochs)
    return model


def main(epochs: int = EPOCHS, seed: int = 0) -> dict[str, list[float]]:
    x, y = mn.load_digits()
    x_train, x_test, y_train, y_test = mn.train_test_split(x.reshape(-1, 8, 8), y, rng=SPLIT)
    print("Five training digits, and what augmentation makes of them in two epochs:\n")
    rng = np.random.default_rng(seed)
    for images in (x_train[:5], augment(x_train[:5], rng), augment(x_train[:5], rng)):
        print(f"{draw(images)}\n")
    print(f"Accuracy on {len(y_test)} test digits, and on the same digits moved by up to a pixel each way:")
    moved, accuracies = augment(x_test, rng, share=1), {}
    for name, transform in (("without", None), ("with", augment)):
        mn.seed(seed)
        model = train(x_train, y_train, epochs, transform)
        accuracies[name] = [mn.accuracy(y_test, mn.predict(model, images)) for images in (x_test, moved)]
        print(f"{name:>8} augmentation  {accuracies[name][0]:.1%}   {accuracies[name][1]:.1%}")
    return accuracies


if __name__ == "__main__":
    main()
