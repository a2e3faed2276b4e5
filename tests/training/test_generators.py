"""The generators of a run: found wherever an author would keep one, and others refused by name."""

import random
from functools import partial

import numpy as np
import pytest

from minnet import Batches, Layer, Sequential
from minnet.training.generators import generators

OWN = np.random.default_rng(8)


class Noise:
    """A transform with a generator of its own."""

    def __init__(self, rng):
        self.rng = rng

    def __call__(self, x, rng):
        return x + self.rng.normal(size=x.shape)


class Noisy(Layer):
    """A layer that draws with a function."""

    def __init__(self, draw):
        self.draw = draw

    def forward(self, x):
        return x + self.draw(x.shape)


def from_the_script(x, rng):
    return x + OWN.normal(size=x.shape)


def in_a_comprehension(x, rng):
    return np.stack([row + OWN.normal(size=row.shape) for row in x])


def in_a_lambda(x, rng):
    return np.apply_along_axis(lambda row: row + OWN.normal(size=row.shape), 1, x)


def in_a_generator_expression(x, rng):
    return sum(row + OWN.normal(size=row.shape) for row in x)


def in_a_function_in_it(x, rng):
    def moved(row):
        return row + OWN.normal(size=row.shape)

    return np.stack([*map(moved, x)])


OF_THE_SCRIPT = from_the_script, in_a_comprehension, in_a_lambda, in_a_generator_expression, in_a_function_in_it


def enclosing(drawn):
    return lambda x, rng: x + drawn.normal(size=x.shape)


def with_a_default(drawn):
    def transform(x, rng, own=drawn):
        return x + own.normal(size=x.shape)

    return transform


def with_a_keyword(drawn):
    def transform(x, rng, *, own=drawn):
        return x + own.normal(size=x.shape)

    return transform


def with_an_attribute(drawn):
    def transform(x, rng):
        return x + transform.own.normal(size=x.shape)

    transform.own = drawn
    return transform


FOUND = {
    "in an object": Noise,
    "in the object of a method": lambda drawn: Noise(drawn).__call__,
    "in a partial": lambda drawn: partial(lambda x, rng, own: x + own.normal(size=x.shape), own=drawn),
    "in what a function encloses": enclosing,
    "in a function of a function": lambda drawn: enclosing(enclosing(drawn)),
    "in a default": with_a_default,
    "in a default by keyword": with_a_keyword,
    "in a function's attribute": with_an_attribute,
    **{f"by its name, {each.__name__}": lambda drawn, each=each: each for each in OF_THE_SCRIPT},
    "in a function of a layer": lambda drawn: Sequential(Noisy(lambda shape: drawn.normal(size=shape))),
    "in a list in a dict in a tuple": lambda drawn: ({"deep": [drawn]},),
}


@pytest.mark.rows("make", FOUND.values(), ids=FOUND)
def test_a_generator_is_found_wherever_it_is_held(make):
    drawn = OWN if make(None) in OF_THE_SCRIPT else np.random.default_rng(4)
    train = Batches(np.zeros((2, 1)), np.zeros(2), 1, rng=5)
    train.held = make(drawn)
    assert [found for _, found in generators(train, "train") if found is not train.rng] == [drawn]


def test_a_generator_is_named_by_where_it_was_found():
    drawn = np.random.default_rng(0)
    model = Sequential(Noisy(drawn), Noisy({"a": [None, drawn]}))
    assert dict(generators(model, "model")) == {"model.0.draw": drawn}
    assert [name for name, _ in generators([Noise(3), {"key": Noise(drawn)}], "train")] == ["train.1.key.rng"]


class Seeded(random.Random):
    """A generator of one's own, which is one of the standard library."""


@pytest.mark.rows(
    "drawn", [random.Random(0), np.random.RandomState(0), Seeded(0)], ids=["random", "numpy", "of one's own"]
)
@pytest.mark.rows("make", [Noise, enclosing, lambda drawn: Sequential(Noisy(drawn))])
def test_a_generator_of_another_kind_is_refused_by_name(make, drawn):
    with pytest.raises(TypeError, match=r"fit: expected train\.0.* to be a numpy\.random\.Generator, .* got a [RS]"):
        list(generators([make(drawn)], "train"))


def test_a_long_chain_of_objects_is_followed_to_its_end():
    link = drawn = np.random.default_rng(0)
    for _ in range(5000):
        link = Noise(link)
    assert [found for _, found in generators(link, "train")] == [drawn]


def test_a_variable_of_a_closure_that_has_no_value_yet_is_no_obstacle():
    def transform(x, rng):
        return x + later.normal() * factor.normal()

    factor, transform.own = np.random.default_rng(2), np.random.default_rng(0)
    assert [found for _, found in generators(transform, "train")] == [factor, transform.own]
    later = np.random.default_rng(1)
    assert [found for _, found in generators(transform, "train")] == [factor, later, transform.own]
