"""The modes of layers, and their caches, after whatever happened in between."""

import numpy as np
import pytest

import minnet
from minnet import (
    Batches,
    Layer,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
)

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])


class Doubled(Layer):
    """y = 2 x while training, x in evaluation; keeps x."""

    def forward(self, x):
        self.cache = x
        return 2 * x if self.training else x

    def backward(self, dy):
        return 2 * dy


class Failing(Layer):
    """y = x, until x has a value above 100."""

    def forward(self, x):
        self.cache = x
        if x.max() > 100:
            raise RuntimeError("too much")
        return x

    def backward(self, dy):
        return dy


class Pressing(Layer):
    """y = x; Ctrl-C is pressed the first time that it is brought back into training mode."""

    pressed = False

    def forward(self, x):
        self.cache = x
        return x

    def backward(self, dy):
        return dy

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if (name, value, self.pressed) == ("training", True, False):
            self.pressed = True
            raise KeyboardInterrupt


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def in_order(batch_size=2):
    return Batches(X, Y, batch_size, shuffle=False)


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def layers(model):
    return list(model.walk(Layer).values())


@pytest.mark.rows("call", ["predict", "evaluate"])
def test_an_error_in_the_middle_leaves_modes_parameters_and_no_cache(call):
    model = classifier(Failing(), Doubled())
    model[2].eval()
    before = values(model), [layer.training for layer in layers(model)]
    x = X.copy()
    x[4] = 1e4
    arguments = {"predict": (x, 2), "evaluate": (Batches(x, Y, 2, shuffle=False), {"m": minnet.accuracy})}
    with pytest.raises(RuntimeError, match="too much"):
        getattr(minnet, call)(model, *arguments[call])
    assert (values(model), [layer.training for layer in layers(model)]) == before
    assert not any("cache" in vars(layer) for layer in layers(model))


def test_an_error_in_a_metric_or_in_the_data_leaves_modes_and_no_cache():
    def broken(y_true, y_pred):
        raise KeyError("a metric")

    def ends():
        yield X, Y
        raise OSError("the disk")

    model = classifier(Doubled())
    model[0].eval()
    modes = [layer.training for layer in layers(model)]
    for error, data, metrics in ((KeyError, in_order(), {"m": broken}), (OSError, ends(), {})):
        with pytest.raises(error):
            evaluate(model, data, metrics)
        assert [layer.training for layer in layers(model)] == modes
        assert not any("cache" in vars(layer) for layer in layers(model))


def test_ctrl_c_while_modes_are_given_back_leaves_none_in_evaluation_mode():
    model = classifier(Pressing(), Doubled())
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, in_order())
    assert all(layer.training and "cache" not in vars(layer) for layer in layers(model))
