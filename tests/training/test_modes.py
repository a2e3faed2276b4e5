"""All layers in one mode for a while: each then has its own again and no cache, whatever happened in between."""

import threading

import numpy as np
import pytest

from minnet import Dropout, Layer, Linear, Sequential
from minnet.training.modes import in_mode

X = np.ones((3, 2), np.float32)


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


@pytest.mark.rows("training", [True, False])
@pytest.mark.rows("error", [None, ValueError, KeyboardInterrupt])
def test_each_layer_gets_its_own_mode_back_and_keeps_no_cache(training, error):
    model = Sequential(Linear(2, 2, rng=0), Sequential(Dropout(rng=0), Linear(2, 2, rng=0).eval()))
    before = [layer.training for layer in model.walk(Layer).values()]
    try:
        with in_mode(model, training):
            assert {layer.training for layer in model.walk(Layer).values()} == {training}
            model(X)
            if error:
                raise error
    except (ValueError, KeyboardInterrupt) as caught:
        assert type(caught) is error
    assert [layer.training for layer in model.walk(Layer).values()] == before == [True, True, True, True, False]
    assert not any("cache" in vars(layer) for layer in model.walk(Layer).values())


def test_ctrl_c_while_modes_are_given_back_leaves_none_in_evaluation_mode():
    model = Sequential(Linear(2, 2, rng=0), Pressing(), Dropout(rng=0))
    with pytest.raises(KeyboardInterrupt), in_mode(model, training=False):
        model(X)
    assert all(layer.training and "cache" not in vars(layer) for layer in model.walk(Layer).values())


def test_what_is_frozen_or_unfrozen_meanwhile_keeps_its_mode():
    model = Sequential(Linear(2, 2, rng=0), Linear(2, 2, rng=0).freeze())
    with in_mode(model, training=True):
        model[0].freeze(), model[1].unfreeze()
    assert [layer.training for layer in model] == [False, True]


def test_threads_that_a_layer_starts_are_in_evaluation_mode_too():
    modes = []

    class Threaded(Layer):
        def forward(self, x):
            thread = threading.Thread(target=lambda: modes.append(self.training))
            thread.start(), thread.join()
            return x

    with in_mode(model := Threaded(), training=False):
        model(X)
    assert modes == [False] and model.training
