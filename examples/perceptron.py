"""A multilayer perceptron on handwritten digits, and how small a change makes it read another one."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, MOMENTUM, DECAY = 40, 32, 0.1, 0.9, 3e-4
SPLIT = 0  # the seed of the split, the same whatever the seed of the training
STRIDE = 0.05  # the norm of a step over all pixels, which lie between 0 and 1


def rows(image: np.ndarray, title: str, shades: str, low: float, high: float) -> list[str]:
    """An 8×8 image under its title, two characters a pixel."""
    levels = np.clip((image.reshape(8, 8) - low) / (high - low) * len(shades), 0, len(shades) - 1).astype(int)
    return [f"{title:^16}", *("".join(shades[v] * 2 for v in row) for row in levels)]


def adversarial(model: mn.Sequential, x: np.ndarray, digit: int) -> np.ndarray:
    """x after gradient steps that lower the loss of this digit, until the model reads x as this digit."""
    for _ in range(200):
        if model(x).argmax() == digit:
            break
        model(x, [digit])
        dx = model.backward(input_gradient=True)
        x = np.clip(x - STRIDE * dx / np.linalg.norm(dx), 0, 1)
    return x


def main(epochs: int = EPOCHS, seed: int = 0) -> float:
    mn.seed(seed)
    x_train, x_test, y_train, y_test = mn.train_test_split(*mn.load_digits(), rng=SPLIT)
    train = mn.Batches(x_train, y_train, BATCH)
    hidden = [layer for D, K in ((64, 256), (256, 128)) for layer in (mn.Linear(D, K), mn.ReLU(), mn.Dropout(0.3))]
    model = mn.Sequential(*hidden, mn.Linear(128, 10), mn.SoftmaxCrossEntropy())
    schedule = mn.linear_decay(LR, epochs * len(train))
    optimizer = mn.SGD(model.parameters(), schedule, MOMENTUM, weight_decay=DECAY)
    mn.fit(model, optimizer, train, epochs)
    p = mn.predict(model, x_test)
    accuracy = mn.accuracy(y_test, p)
    print(f"Accuracy on {len(y_test)} test digits: {accuracy:.1%}\n")
    print("Three of them, changed until the model reads the digit that was its second guess;")
    print("and the change: # and + are darker now, - and = lighter.\n")
    model.eval()
    for digit in (0, 4, 9):
        i = np.flatnonzero((p.argmax(axis=1) == y_test) & (y_test == digit))[0]
        after = adversarial(model, x_test[i : i + 1], int(p[i].argsort()[-2]))
        q = model(after)[0]
        columns = [
            rows(x_test[i], f"{p[i].max():.0%} a {p[i].argmax()}", " .:-=+*#%@", 0, 1),
            rows(after, f"{q.max():.0%} a {q.argmax()}", " .:-=+*#%@", 0, 1),
            rows(after - x_test[i], "the change", "=- +#", -0.3, 0.3),
        ]
        print(*("    ".join(line).rstrip() for line in zip(*columns)), "", sep="\n")
    return accuracy


if __name__ == "__main__":
    main()
