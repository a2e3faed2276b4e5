"""A layer built once more from the arguments of its constructor: what it draws at random differs, what it is given not.

No generator is moved by that: not those among the arguments, not the package's, nor NumPy's and Python's global ones.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..layer import Buffer, Layer, Parameter
from ..random import generator


@contextmanager
def unmoved() -> Iterator[None]:
    """Put the global generators back to where they were: the package's, NumPy's and Python's."""
    import random  # here, since importing it takes two milliseconds

    package = generator().bit_generator
    states = package.state, np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        package.state = states[0]
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def rebuilt(layer: Layer) -> tuple[Layer, Layer] | None:
    """Two layers made from the recorded arguments, but for rng, with other draws; None if the constructor refuses."""
    args, kwargs = layer._arguments
    try:
        with unmoved():
            one, other = (_build(type(layer), args, kwargs, i) for i in range(2))
    except Exception:  # of a constructor that someone else wrote, which may have changed what it was given
        return None
    return one, other


def _build(kind: type[Layer], args: tuple[Any, ...], kwargs: dict[str, Any], i: int) -> Layer:
    """The layer from copies of the arguments, in which rng, and any generator, depends on i."""
    bound = inspect.signature(kind).bind(*copy.deepcopy(args), **copy.deepcopy(kwargs))
    for name, value in bound.arguments.items():
        if isinstance(value, np.random.Generator):
            bound.arguments[name] = generator(i)
        elif name == "rng" and isinstance(value, int):
            bound.arguments[name] = value + i
    return kind(*bound.args, **bound.kwargs)


def double_states(layer: Layer) -> list[str]:
    """The parameters and buffers that hold float64 beside float32, or as the constructor leaves them."""
    states = {name: state.data.dtype for name, state in layer.walk(Parameter, Buffer).items()}
    doubles = [name for name, dtype in states.items() if dtype == np.float64]
    if not doubles or np.float32 in states.values():
        return doubles
    layers = {name: inner for name, inner in layer.walk(Layer).items() if len(inner.walk(Layer)) == 1}
    pairs = ((name, rebuilt(inner)) for name, inner in layers.items() if inner.walk(Buffer, Parameter))
    made = {
        f"{name}.{own}".strip("."): pair[0].walk(Parameter, Buffer)[own]
        for name, pair in pairs
        if pair
        for own in pair[0].walk(Parameter, Buffer)
    }
    return [name for name in doubles if name in made and made[name].data.dtype == np.float64]
