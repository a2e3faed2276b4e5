"""How errors and reports name a layer."""

import numpy as np

from minnet import (
    Layer,
    Linear,
    Parameter,
    Sequential,
)
from minnet.naming import add_location, one_line, shapes


class Scale(Layer):
    """y = g · x        dg = Σ dy · x        dx = g · dy"""

    def __init__(self, features):
        self.g = Parameter(np.ones(features))

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        x = self.cache
        self.g.grad += (dy * x).sum(axis=0)
        return dy * self.g.data


def test_an_error_whose_text_cannot_be_changed_gets_a_note():
    error = OSError(2, "gone")
    add_location(error, Scale(2), "layer 1, Scale(2)")
    assert error.args == (2, "gone")
    assert error.__notes__ == ["layer 1, Scale(2)"]


def test_shapes_tells_arrays_from_other_things():
    assert shapes(np.ones((2, 3)), [1, 2]) == "shape (2, 3), list"


def test_a_model_of_many_lines_is_named_on_one():
    assert one_line(Linear(2, 3)) == "Linear(2, 3)"
    assert one_line(Sequential(Linear(2, 3))) == "Sequential(...)"
