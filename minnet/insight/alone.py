"""A layer of an observed model by itself: a function whose differences its backward has to agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Parameter
from ..random import generator
from .observation import Observation, Watch, copied, is_trained

Dependence = dict[Watch, tuple[list[bool], list[bool]]]


@dataclass(frozen=True)
class Source:
    """An array on which what leaves a layer depends, and the gradient with respect to it as backward has left it.

    name: of a parameter; "" for another array.  receiver: the layer inside that gave it; None for an input.
    """

    array: Array
    gradient: Callable[[], Array]
    name: str = ""
    receiver: Watch | None = None


class Alone:
    """A layer that is given what it was given, and whose inner layers give what they gave.

    Compared is all that leaves it, each array weighed by its gradient: what it gives, and what it gives to the layers
    inside.

    inside: the layers that it calls, each of them once.  depends: of each watch, which of floats(inputs) and floats(y)
    depend on a trained parameter; a gradient with respect to another is of no use, and need not be right.
    writes: whether its backward has written into the gradient that it was given.
    """

    def __init__(self, observation: Observation, watch: Watch, inside: list[Watch], depends: Dependence) -> None:
        self.observation, self.watch, self.inside, self.depends = observation, watch, inside, depends
        self.inputs, self.y, self.dx, self.writes = copied(watch.inputs), watch.y, None, False
        self.gradients = copied(watch.gradients) or (1.0,)
        if not any(dy.any() for _, dy in with_gradients(self.y, self.gradients)):
            self.gradients = _drawn(self.y)  # where all of it is lost further on, any other tells as much
        for w in inside:
            w.held = _to_hold(w.y)

    def forward(self) -> Array:
        """All that leaves the layer, in one vector."""
        call = partial(self.watch.forward, *copied(self.inputs), **self.watch.options)
        return _joined(array for array, _ in self.leaving(self.observation.call_and_reset(call)))

    def backward(self) -> Array:
        """Compute all gradients. Returns those with respect to what leaves the layer, in one vector."""
        self.observation.clear_gradients()
        for w in self.inside:
            w.returns, w.gradients, w.dx = 0, (), None
        given = copied(self.gradients) if self.watch.gradients else ()
        call = partial(self.watch.backward, *given, **self.watch.backward_options)
        self.dx = self.observation.call_and_reset(call)
        self.writes = any(
            not np.array_equal(*pair, equal_nan=True) for pair in zip(floats(given), floats(self.gradients))
        )
        return _joined(gradient for _, gradient in self.leaving(self.y))

    def release(self) -> None:
        """Let the layers inside give what they give."""
        for w in self.inside:
            w.held = None

    def leaving(self, y: Any) -> Iterator[tuple[Array, Array]]:
        """What leaves the layer, each array with its gradient."""
        yield from with_gradients(y, self.gradients)
        for w in self.inside:
            yield from with_gradients(w.inputs, w.dx)

    def sources(self) -> Iterator[Source]:
        """The trained parameters that are in none of the layers inside, what those give, and the inputs."""
        theirs = {id(p) for w in self.inside for p in w.layer.parameters()}
        for name, p in self.watch.layer.named_parameters().items():
            if id(p) not in theirs and is_trained(p):
                yield Source(p.data, partial(_of_parameter, p), name)
        for w in reversed(self.inside):
            for i, array in enumerate(floats(w.held)):
                if self.depends[w][1][i]:
                    yield Source(array, partial(_handed_to, w, i), receiver=w)
        for i, array in enumerate(floats(self.inputs)):
            if isinstance(array, Array) and self.depends[self.watch][0][i]:
                yield Source(array, partial(self._handed_back, i))

    def _handed_back(self, i: int) -> Array:
        return with_gradients(self.inputs, self.dx)[i][1]


def _of_parameter(parameter: Parameter) -> Array:
    return with_gradients(parameter.data, parameter.grad)[0][1]


def _handed_to(watch: Watch, i: int) -> Array:
    gradients = (watch.gradients or 1.0) if watch.returns else None
    return with_gradients(watch.y, gradients)[i][1]


def floats(value: Any) -> list[Any]:
    """The floating arrays and numbers in a value, and in tuples and lists in it."""
    return [item for item in _flat(value) if _is_floating(item)]


def with_gradients(value: Any, gradients: Any) -> list[tuple[Array, Array]]:
    """floats(value) as arrays, each with the gradient in the same place; 0 where there is none of its shape."""
    items = _flat(value)
    given = [np.asarray(0.0 if g is None else g) for g in _flat(gradients)]
    return [
        (np.asarray(item), g if g.shape == np.shape(item) else np.zeros(np.shape(item)))
        for item, g in zip_longest(items, given[: len(items)], fillvalue=np.zeros(0))
        if _is_floating(item)
    ]


def _flat(value: Any) -> list[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, (tuple, list)) else [value]


def _is_floating(item: Any) -> bool:
    return isinstance(item, (Array, float, np.floating)) and np.asarray(item).dtype.kind == "f"


def _joined(arrays: Iterable[Array]) -> Array:
    return np.concatenate([np.zeros(0), *(array.reshape(-1) for array in arrays)])


def _to_hold(y: Any) -> Any:
    """A copy in which a number is an array, so that it can be moved."""
    if isinstance(y, tuple):
        return tuple(map(_to_hold, y))
    return np.array(y) if _is_floating(y) else y


def _drawn(y: Any) -> tuple[Any, ...]:
    """An upstream gradient for y, drawn at random."""
    if isinstance(y, tuple):
        return (tuple(_drawn(part)[0] for part in y),)
    return (generator(0).normal(size=np.shape(y)),) if isinstance(y, Array) else (1.0,)
