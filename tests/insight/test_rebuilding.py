import copy
import random

import numpy as np
import pytest

from minnet import Buffer, Dropout, Layer, Linear, Parameter, Sequential, generator
from minnet.insight.rebuilding import double_states, rebuilt, unmoved


def states():
    # The legacy generators are those of users, whom minnet leaves as they are.
    legacy = np.random.get_state()[1].tolist()  # noqa: NPY002
    return copy.deepcopy(generator().bit_generator.state), legacy, random.getstate()


def draw():
    return [generator().random(), np.random.rand(), random.random()]  # noqa: NPY002


class Draws(Layer):
    """What the constructor draws, from wherever people draw."""

    def __init__(self, size, rng=None, seed=0):
        self.drawn = [*draw(), *generator(rng).normal(size=size)]
        self.given = size, np.random.default_rng(seed).random()


def test_no_global_generator_is_moved_whatever_happens():
    before = states()
    with unmoved():
        draw()
    with pytest.raises(KeyError), unmoved():
        draw()
        raise KeyError
    assert states() == before


@pytest.mark.rows("rng", [None, 3, np.random.default_rng(3)])
def test_two_that_are_built_again_differ_in_what_is_drawn_and_in_nothing_else(rng):
    layer = Draws(2, rng=rng)
    before, own = states(), copy.deepcopy(rng)
    one, other = rebuilt(layer)
    for a, b in zip(one.drawn, other.drawn, strict=True):
        assert a != b
    assert one.given == other.given
    assert states() == before
    assert not isinstance(rng, np.random.Generator) or rng.bit_generator.state == own.bit_generator.state


def test_building_again_moves_no_generator_and_changes_no_argument():
    class Takes(Layer):
        def __init__(self, values):
            values.append(draw())

    values = [1]
    layer = Takes(values)
    before, held = states(), copy.deepcopy(values)
    assert rebuilt(layer) is not None
    assert states() == before and values == held


def test_a_constructor_that_refuses_what_it_was_given_gives_nothing():
    class Once(Layer):
        def __init__(self, values):
            values.pop()

    assert rebuilt(Once([1])) is None


class Hidden(Layer):
    """A float64 array in a Buffer or a Parameter, which would have made float32 of it."""

    def __init__(self, kind, trained=False):
        self.t = kind(np.zeros(3))
        self.t.data = np.linspace(0, 1, 3)
        if trained:
            self.g = Parameter(np.ones(3))


@pytest.mark.rows("kind", [Buffer, Parameter])
@pytest.mark.rows("trained", [False, True])
def test_a_float64_array_where_float32_belongs_is_named(kind, trained):
    assert double_states(Hidden(kind, trained)) == ["t"]
    assert double_states(Sequential(Linear(3, 3), Hidden(kind, trained))) == ["1.t"]


def test_a_model_that_was_made_float64_is_as_it_should_be():
    assert double_states(Sequential(Linear(3, 3), Dropout()).astype(np.float64)) == []
    assert double_states(Sequential(Linear(3, 3), Dropout())) == []
    assert double_states(Hidden(Buffer, True).astype(np.float32)) == []
