"""A convolutional net on handwritten digits, and what its first kernels look for."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, MOMENTUM, DECAY = 15, 32, 0.1, 0.9, 1e-3
SPLIT = 0  # the seed of the split, the same whatever the seed of the training


def block(in_channels: int, out_channels: int) -> list[mn.Layer]:
    """The convolution has no bias: the batch norm subtracts the mean, and would subtract the bias with it."""
    convolution = mn.Conv2d(in_channels, out_channels, 3, padding="same", bias=False)
    return [convolution, mn.BatchNorm(out_channels), mn.ReLU()]


def rows(image: np.ndarray, shades: str, low: float, high: float) -> list[str]:
    """An image of at most 8×8, centred in 8 lines of 16 characters, two characters a pixel."""
    levels = np.clip((image - low) / (high - low) * len(shades), 0, len(shades) - 1).astype(int)
    lines = [f"{''.join(shades[v] * 2 for v in row):^16}" for row in levels]
    above = (8 - len(lines)) // 2
    return [" " * 16] * above + lines + [" " * 16] * (8 - len(lines) - above)


def main(epochs: int = EPOCHS, seed: int = 0) -> float:
    mn.seed(seed)
    x, y = mn.load_digits()
    x_train, x_test, y_train, y_test = mn.train_test_split(x.reshape(-1, 8, 8, 1), y, rng=SPLIT)
    train = mn.Batches(x_train, y_train, BATCH)
    model = mn.Sequential(
        *block(1, 16),
        *block(16, 32),
        mn.MaxPool2d(2),
        *block(32, 64),
        mn.GlobalAveragePool(),  # digits are not all in the same place: a feature counts wherever it is
        mn.Dropout(0.3),
        mn.Linear(64, 10),
        mn.SoftmaxCrossEntropy(),
    )
    print(mn.summary(model, (8, 8, 1)), end="\n\n")
    schedule = mn.linear_decay(LR, epochs * len(train))
    optimizer = mn.SGD(model.parameters(), schedule, MOMENTUM, weight_decay=DECAY)
    mn.fit(model, optimizer, train, epochs)
    accuracy = mn.accuracy(y_test, mn.predict(model, x_test))
    print(f"Accuracy on {len(y_test)} test digits: {accuracy:.1%}\n")
    print("What four of its first kernels see in four digits: # and + look for ink, = and - for paper.\n")
    digits = x_test[[np.flatnonzero(y_test == digit)[0] for digit in (0, 2, 4, 7)]]
    kernels, maps = model.state_dict()["0.W"][:, :, 0], mn.predict(model[:3], digits)
    lines = [[" " * 16] * 8, *(rows(digit[..., 0], " .:-=+*#%@", 0, 1) for digit in digits)]
    print(*("    ".join(line).rstrip() for line in zip(*lines)), "", sep="\n")
    for k in np.argsort(-kernels.var(axis=(0, 1)))[:4]:
        largest, highest = abs(kernels[..., k]).max(), maps[..., k].max()
        lines = [rows(kernels[..., k], "=- +#", -largest, largest)]
        lines += [rows(m, " .:-=+*#%@", 0, highest) for m in maps[..., k]]
        print(*("    ".join(line).rstrip() for line in zip(*lines)), "", sep="\n")
    return accuracy


if __name__ == "__main__":
    main()
