"""Write an optimizer of your own: a rule for all entries, one for each parameter, and a mistake that is told."""

import numpy as np

import minnet as mn

EPOCHS = 20


class Lion(mn.Optimizer):
    """w ← w − lr sign(β m + (1 − β) g)        m ← γ m + (1 − γ) g        Chen et al. 2023"""

    def __init__(self, parameters: list[mn.Parameter], lr: float, beta: float = 0.9, gamma: float = 0.99) -> None:
        super().__init__(parameters, lr)
        self.beta, self.gamma = beta, gamma
        self.add_moments("m")

    def update(self, w: np.ndarray, g: np.ndarray, lr: float, m: np.ndarray) -> None:
        w -= lr * np.sign(self.beta * m + (1 - self.beta) * g)
        m *= self.gamma
        m += (1 - self.gamma) * g


class Lars(mn.Optimizer):
    """w ← w − lr ‖w‖ / ‖g‖ g for each matrix, w ← w − lr g for each bias        after You et al. 2017"""

    per_parameter = True

    def update(self, w: np.ndarray, g: np.ndarray, lr: float) -> None:
        norm = np.linalg.norm(g)
        w -= lr * (np.linalg.norm(w) / norm if w.ndim > 1 and norm else 1.0) * g


class Wrong(mn.Optimizer):
    def update(self, w: np.ndarray, g: np.ndarray, lr: float) -> None:
        w = w - lr * g  # another array: that of the model stays as it is


def main(epochs: int = EPOCHS) -> dict[str, float]:
    x_train, x_test, y_train, y_test = mn.train_test_split(*mn.load_digits(), rng=0)
    found = {}
    for kind, lr in ((mn.SGD, 0.5), (Lion, 0.001), (Lars, 0.02), (Wrong, 0.5)):
        mn.seed(0)
        model = mn.Sequential(mn.Linear(64, 32), mn.ReLU(), mn.Linear(32, 10), mn.SoftmaxCrossEntropy())
        optimizer = kind(model.parameters(), lr)
        try:
            mn.fit(model, optimizer, mn.Batches(x_train, y_train, 32), epochs, progress=False)
        except ValueError as error:
            print(f"\n{error}")
            continue
        found[kind.__name__] = mn.accuracy(y_test, mn.predict(model, x_test))
        print(optimizer, f"{kind.__name__:>6}: {found[kind.__name__]:.1%} of the test digits are right", sep="\n")
    return found


if __name__ == "__main__":
    main()
