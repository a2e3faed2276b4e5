"""Train the linear softmax classifier on handwritten digits, then look at what it learned."""

import argparse

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, MOMENTUM, DECAY = 60, 32, 0.5, 0.9, 3e-4
SPLIT = 0  # the seed of the split, the same whatever the seed of the training


def draw(images: np.ndarray, titles: list[str], shades: str, low: float, high: float) -> str:
    """8×8 images side by side under their titles, two characters a pixel, darker ones for higher values."""
    levels = np.clip((images.reshape(-1, 8, 8) - low) / (high - low) * len(shades), 0, len(shades) - 1).astype(int)
    lines = ["   ".join("".join(shades[v] * 2 for v in row) for row in rows) for rows in levels.swapaxes(0, 1)]
    return "\n".join(["   ".join(f"{title:^16}" for title in titles), *lines, ""])


def plot(templates: np.ndarray, path: str) -> None:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise SystemExit("--plot draws with matplotlib, which `pip install -e '.[plot]'` installs") from error
    figure, axes = plt.subplots(2, 5, figsize=(10, 4.4), layout="constrained")
    for digit, axis in enumerate(axes.flat):
        axis.imshow(templates[digit].reshape(8, 8), cmap="RdBu_r", vmin=-1.5, vmax=1.5)
        axis.set(title=digit, xticks=[], yticks=[])
    figure.savefig(path)


def main(epochs: int = EPOCHS, seed: int = 0, picture: str | None = None) -> float:
    mn.seed(seed)
    x_train, x_test, y_train, y_test = mn.train_test_split(*mn.load_digits(), rng=SPLIT)
    train = mn.Batches(x_train, y_train, BATCH)
    model = mn.Sequential(mn.Linear(64, 10), mn.SoftmaxCrossEntropy())
    schedule = mn.linear_decay(LR, epochs * len(train))
    optimizer = mn.SGD(model.parameters(), schedule, MOMENTUM, weight_decay=DECAY)
    mn.fit(model, optimizer, train, epochs, validation=[(x_test, y_test)])
    p = mn.predict(model, x_test)
    accuracy, wrong = mn.accuracy(y_test, p), np.flatnonzero(p.argmax(axis=1) != y_test)[:5]
    print(f"Accuracy on {len(y_test)} test digits: {accuracy:.1%}\n")
    print(f"The digits (rows), and what they were taken for (columns):\n{mn.confusion_matrix(y_test, p)}\n")
    titles = [f"{y_test[i]}, taken for {p[i].argmax()}" for i in wrong]
    print("Some that went wrong:", draw(x_test[wrong], titles, " .:-=+*#%@", 0, 1), sep="\n")
    print("The weights of each digit: # and + speak for it, = and - against it")
    templates = model.state_dict()["0.W"].T
    for digits in ("01234", "56789"):
        print(draw(templates[list(map(int, digits))], list(digits), "=- +#", -1.25, 1.25))
    if picture:
        plot(templates, picture)
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights and the order of the batches")
    parser.add_argument("--plot", metavar="FILE.png", help="also draw the weights into a picture; needs matplotlib")
    arguments = parser.parse_args()
    main(seed=arguments.seed, picture=arguments.plot)
