"""A picture and a table go into one model: the upper half of a digit as an image, the ink of the lower one in rows."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, SPLIT = 20, 32, 0.005, 0


def model() -> mn.Layer:
    picture = mn.Sequential(mn.Conv2d(1, 8, 3, padding="same"), mn.ReLU(), mn.MaxPool2d(2), mn.Flatten())
    table = mn.Sequential(mn.Linear(12, 16), mn.ReLU())
    return mn.Sequential(mn.Parallel(picture, table), mn.Linear(8 * 2 * 4 + 16, 10), mn.SoftmaxCrossEntropy())


def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper half of each digit (N, 4, 8, 1), and the ink in rows and columns of the lower half (N, 12)."""
    upper, lower = np.split(x.reshape(-1, 8, 8), 2, axis=1)
    return upper[..., None], np.concatenate([lower.sum(axis=2), lower.sum(axis=1)], axis=1)


def main(epochs: int = EPOCHS) -> float:
    x, y = mn.load_digits()
    x, x_test, y, y_test = mn.train_test_split(x, y, rng=SPLIT)
    (picture, table), (test_picture, test_table) = halves(x), halves(x_test)
    inputs = {
        "both": ((picture, table), (test_picture, test_table)),
        "the picture, another digit's table": ((picture, table[::-1]), (test_picture, test_table[::-1])),
        "the table, another digit's picture": ((picture[::-1], table), (test_picture[::-1], test_table)),
    }
    accuracies = {}
    for name, (train, test) in inputs.items():
        mn.seed(0)
        net = model()
        mn.fit(net, mn.Adam(net.parameters(), LR), mn.Batches(train, y, BATCH, rng=0), epochs, progress=False)
        accuracies[name] = mn.evaluate(net, mn.Batches(test, y_test, 360, shuffle=False))["accuracy"]
    print("Accuracy on 360 test digits of a model that is given\n")
    for name, accuracy in accuracies.items():
        print(f"{name:36} {accuracy:6.1%} {'#' * round(40 * accuracy)}")
    net_input = tuple(part[:1] for part in (test_picture, test_table))
    print(f"\nOne digit is a tuple of {' and '.join(str(part.shape) for part in net_input)}; the shapes within:")
    print(mn.summary(net, net_input))
    return accuracies["both"]


if __name__ == "__main__":
    main()
