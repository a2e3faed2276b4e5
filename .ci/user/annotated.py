"""What a user writes who annotates everything: type checkers must take it in an environment of the user's."""

import numpy as np

import minnet as mn


class Shift(mn.Layer):
    def __init__(self, features: int) -> None:
        self.b = mn.Parameter(np.zeros(features), decay=False)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.cache = x.shape
        y: np.ndarray = x + self.b.data
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.b.grad += dy.sum(axis=0)
        return dy


class Gated(mn.Layer):
    """A layer of layers."""

    def __init__(self, features: int) -> None:
        self.inside, self.shift = mn.Linear(features, features), Shift(features)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.shift.forward(self.inside.forward(x))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx: np.ndarray = self.inside.backward(self.shift.backward(dy))
        return dx


class Momentum(mn.Optimizer):
    def __init__(self, parameters: list[mn.Parameter], lr: float) -> None:
        super().__init__(parameters, lr)
        self.add_moments("v")

    def update(self, w: np.ndarray, g: np.ndarray, lr: float, v: np.ndarray) -> None:
        v += g
        w -= lr * v


def right(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return mn.accuracy(y_true, y_pred)


def goes_on(history: mn.History) -> bool:
    return history["loss"][-1] > 0.1


x, y = mn.load_digits()
model = mn.Sequential(Gated(64), mn.Linear(64, 10), mn.SoftmaxCrossEntropy())
history: mn.History = mn.fit(
    model,
    Momentum(model.parameters(), lr=0.01),
    mn.Batches(x, y, batch_size=32, transform=lambda x, rng: x + rng.normal(size=x.shape)),
    epochs=2,
    validation=[(x, y)],
    metrics={"right": right},
    on_epoch_end=goes_on,
)
figures: dict[str, float] = mn.evaluate(model, [(x, y)], metrics={"right": right})
print(history, figures, mn.check_layer(Shift(3), np.ones((2, 3))), sep="\n")
