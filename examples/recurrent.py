"""Remember the last capital in a stream of letters: for how many steps can a plain RNN, an LSTM and a GRU?"""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, MOMENTUM, CLIP = 6, 32, 0.7, 0.9, 1.0
LETTERS, STEPS, HIDDEN, SEQUENCES = "abcdefgh", 40, 32, 3200
CAPITALS = 0.05  # the share of letters that are capitals; the first of a sequence always is one
AGO = (0, 1, 2, 3, 4, 6, 8, 12, 16, 20, 25, 30)  # steps since the last capital, of which the accuracy is shown


def make(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (n, T, 9), the letters one-hot, then 1 for a capital; y (n, T), the last capital; and how many steps ago."""
    letters, capital = rng.integers(0, len(LETTERS), (n, STEPS)), rng.random((n, STEPS)) < CAPITALS
    capital[:, 0] = True
    last = np.maximum.accumulate(np.where(capital, np.arange(STEPS), 0), axis=1)
    x = np.concatenate([np.eye(len(LETTERS))[letters], capital[..., None]], axis=2)
    return x, np.take_along_axis(letters, last, axis=1), np.arange(STEPS) - last


def spelled(labels: np.ndarray, shown: np.ndarray) -> str:
    return "".join(LETTERS[i] if show else "." for i, show in zip(labels, shown))


def main(epochs: int = EPOCHS, seed: int = 0) -> dict[str, float]:
    mn.seed(seed)
    x, y, _ = make(SEQUENCES, mn.generator())
    train = mn.Batches(x, y, BATCH)
    schedule = mn.linear_decay(LR, epochs * len(train))
    x_test, y_test, ago = make(1000, mn.generator(1))
    read, capital = x_test[0, :, :-1].argmax(axis=1), x_test[0, :, -1] == 1
    print(f"{'it reads':>18}  {''.join(LETTERS[i].upper() if c else LETTERS[i] for i, c in zip(read, capital))}")
    print(f"{'and is to answer':>18}  {''.join(LETTERS[i] for i in y_test[0])}")
    inputs, rights = len(LETTERS) + 1, {}
    for cell in (mn.RNN(inputs, HIDDEN), mn.LSTM(inputs, HIDDEN, forget_bias=1.0), mn.GRU(inputs, HIDDEN)):
        model = mn.Sequential(cell, mn.Linear(HIDDEN, len(LETTERS)), mn.SoftmaxCrossEntropy())
        optimizer = mn.SGD(model.parameters(), schedule, MOMENTUM, clip_norm=CLIP)
        mn.fit(model, optimizer, train, epochs)
        answer = mn.predict(model, x_test).argmax(axis=2)
        rights[type(cell).__name__] = right = answer == y_test
        print(f"{type(cell).__name__ + ' is wrong at':>18}  {spelled(answer[0], ~right[0])}")
    print("\nAccuracy by the number of steps since the last capital:")
    print("   ", *(f"{name:25}" for name in rights))
    for steps_ago in AGO:
        shares = [right[ago == steps_ago].mean() for right in rights.values()]
        print(f"{steps_ago:3}", *(f"{share:4.0%} {'#' * round(20 * share):20}" for share in shares))
    return {name: float(right.mean()) for name, right in rights.items()}


if __name__ == "__main__":
    main()
