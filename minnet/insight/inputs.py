"""What check_layer hands to a layer: arrays, of which the first may be a tuple of arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray as Array

from ..arguments import real_array
from ..layer import Layer
from ..parts import is_several

Inputs: TypeAlias = "list[Any]"  # of Arrays, or tuples of them


def as_inputs(layer: Layer, inputs: tuple[Any, ...]) -> Inputs:
    """The inputs as arrays, real ones in float64. A tuple with arrays in it, as the first, is several.

    Integers in the first become float64 too if the layer has a gradient for them; otherwise they are ids.
    Raises TypeError and ValueError for what is no array of finite real numbers, or has no entries.
    """
    first, *rest = inputs
    several = is_several(first)
    places = [f"input 0[{i}]" for i in range(len(first))] if several else ["input 0"]
    members = [_as_array(place, member) for place, member in zip(places, first if several else (first,))]
    others = [_as_array(f"input {i}", x) for i, x in enumerate(rest, start=1)]
    for i, ids in enumerate(members):
        if ids.dtype.kind in "biu":
            real = [*members[:i], ids.astype(np.float64), *members[i + 1 :]]
            if _has_gradient(layer, [tuple(real) if several else real[0], *others], i):
                members = real
    return [tuple(members) if several else members[0], *others]


def _as_array(place: str, x: Any) -> Array:
    array = cast(np.array(real_array(f"check_layer, {place}", x)), np.float64)
    if not array.size:
        raise ValueError(f"check_layer: expected at least one row in each input, got shape {array.shape} in {place}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"check_layer: expected inputs of finite numbers, got nan or inf in {place}")
    return array


def _has_gradient(layer: Layer, inputs: Inputs, i: int) -> bool:
    """Whether a layer has a gradient for member i of its first input, when that is real."""
    layer = copy.deepcopy(layer)
    try:
        y = layer(*inputs)
        dx = layer.backward(np.ones_like(y) if isinstance(y, Array) else 1.0)
    except (TypeError, ValueError, IndexError):  # it takes integers only
        return False
    return (dx[i] if isinstance(dx, tuple) else dx) is not None


def each(f: Callable[[Array], Array], inputs: Inputs) -> Inputs:
    """The inputs after a function of each array."""
    return [tuple(map(f, x)) if isinstance(x, tuple) else f(x) for x in inputs]


def named(names: Sequence[str], inputs: Inputs) -> Iterator[tuple[str, Array]]:
    """(name, array) of each, those of a tuple x as x[0], x[1]."""
    for name, x in zip(names, inputs):
        if isinstance(x, tuple):
            yield from ((f"{name}[{i}]", member) for i, member in enumerate(x))
        else:
            yield name, x


def cast(array: Array, dtype: type) -> Array:
    """A floating array in another dtype; others as they are."""
    return array.astype(dtype) if array.dtype.kind == "f" else array


def non_contiguous(array: Array) -> Array:
    """A copy in column-major order, with a gap in memory after each value."""
    wide = np.zeros((*array.shape[::-1], 2), array.dtype)
    wide[..., 0] = array.T
    return wide[..., 0].T


def other_values(inputs: Inputs) -> Inputs:
    """The inputs, but for other values of the first: ids in another order, real numbers smaller too."""
    return [*each(lambda x: 0.5 * np.flip(x) if x.dtype.kind == "f" else np.flip(x), inputs[:1]), *inputs[1:]]


def read_only(array: Array) -> Array:
    """A copy that can't be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array
