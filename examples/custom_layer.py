"""Write a layer of your own, and be told whether its gradient is right."""

import numpy as np

from minnet import Layer, LayerCheckError, Parameter, check_layer

# 1. Assign every trained array as a Parameter in __init__ (no super().__init__() call, no registration).
# 2. forward(x) returns y and keeps in self.cache what backward needs.
# 3. backward(dy) adds to each Parameter.grad and returns dx, shaped like x.
# 4. Neither writes into an array it was handed.
# 5. Look at self.training if the two modes differ.


class Scale(Layer):
    """y = g · x        dg = Σ dy · x        dx = g · dy"""

    def __init__(self, features: int) -> None:
        self.g = Parameter(np.ones(features))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.cache = x
        return x * self.g.data

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.cache
        self.g.grad += (dy * x).sum(axis=0)
        return dy * self.g.data


class WrongScale(Scale):
    """The same with a mean where the sum belongs: every test of the shapes passes, and training is merely slow."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.cache
        self.g.grad += (dy * x).mean(axis=0)
        return dy * self.g.data


def main() -> str:
    x = np.random.default_rng(0).normal(size=(3, 4))
    print(check_layer(Scale(4), x))
    try:
        check_layer(WrongScale(4), x)
    except LayerCheckError as error:
        print(f"\n{error}")
        return str(error)
    raise SystemExit("the wrong layer was not caught")


if __name__ == "__main__":
    main()
