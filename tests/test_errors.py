"""The kinds of errors that a program may want to catch."""

import copy
import pickle

import numpy as np
import pytest

import minnet
from minnet import CheckpointError, LayerCheckError, Linear
from minnet.errors import BackwardBeforeForward


def test_the_errors_are_also_those_of_python_that_people_catch():
    assert issubclass(CheckpointError, ValueError)
    assert issubclass(LayerCheckError, AssertionError)
    assert issubclass(BackwardBeforeForward, RuntimeError)


def test_a_layer_without_a_cache_has_none_for_hasattr_and_raises_for_backward():
    layer = Linear(2, 3)
    assert not hasattr(layer, "cache")
    with pytest.raises(BackwardBeforeForward, match=r"Linear\(2, 3\): backward before forward"):
        layer.backward(None)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_failed_check_is_copied_and_pickled_with_its_arrays(again):
    error = again(LayerCheckError("wrong", "W", np.ones(2), np.array([1.0, np.nan])))
    assert str(error) == "wrong" and error.name == "W"
    np.testing.assert_array_equal(error.gradient, [1, 1])
    np.testing.assert_array_equal(error.numeric, [1, np.nan])
    plain = again(LayerCheckError("wrong"))
    assert str(plain) == "wrong" and plain.name is plain.gradient is plain.numeric is None


def test_what_a_user_catches_is_exported_and_the_rest_is_not():
    assert {"CheckpointError", "LayerCheckError"} <= set(minnet.__all__)
    assert "BackwardBeforeForward" not in minnet.__all__
