"""How errors and reports name a layer."""

import numpy as np

from minnet import Linear, Sequential
from minnet.naming import add_location, one_line, shapes


def test_an_error_whose_text_cannot_be_changed_gets_a_note():
    error = OSError(2, "gone")
    add_location(error, Linear(2, 2), "layer 1, Linear(2, 2)")
    assert error.args == (2, "gone")
    assert error.__notes__ == ["layer 1, Linear(2, 2)"]


def test_shapes_tells_arrays_from_other_things():
    assert shapes(np.ones((2, 3)), [1, 2]) == "shape (2, 3), list"


def test_a_model_of_many_lines_is_named_on_one():
    assert one_line(Linear(2, 3)) == "Linear(2, 3)"
    assert one_line(Sequential(Linear(2, 3))) == "Sequential(...)"
