"""What of a state fits a model, and what is left out."""

import numpy as np

from minnet.state import LeftOut, fitting


def test_what_fits_by_name_and_shape_is_given_and_the_rest_is_named():
    own = {"a": np.zeros(3, np.float32), "b": np.zeros(2, np.float32), "c": np.zeros(4, np.float32)}
    state = {"d": np.ones(1), "c": np.ones((2, 2)), "a": np.ones(3)}
    fits, left_out = fitting(own, state)
    assert list(fits) == ["a"] and fits["a"] is state["a"]
    assert left_out == LeftOut(missing=["b"], unexpected=["d"], mismatched=["c"])


def test_values_that_a_dtype_cannot_hold_are_mismatched():
    own = {"n": np.zeros(1, np.int32), "m": np.zeros(1, np.int32), "w": np.zeros(1, np.float32)}
    state = {"n": np.array([2**31]), "m": np.array([0.5]), "w": np.array([1e300])}
    assert fitting(own, state) == ({}, LeftOut([], [], ["n", "m", "w"]))


def test_nothing_is_left_out_where_all_fits():
    own = {"a": np.zeros(3, np.float32)}
    fits, left_out = fitting(own, {"a": np.ones(3)})
    assert list(fits) == ["a"] and not any(left_out)
