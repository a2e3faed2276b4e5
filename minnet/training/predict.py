"""A trained model at work, in as many threads as there are."""

from __future__ import annotations

import copy
from functools import partial
from operator import is_
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import plain_array, whole_number
from ..layer import Buffer, Layer, Parameter, drop_cache, thread
from ..parameter import SparseParameter
from ..parts import sliceable_parts
from ..tree import DATA, is_long_data
from .inputs import check_model, prediction

FUNCTIONS, OTHERS = -1, -2  # among copies, whether a layer holds functions, and whether what walk must look into
SHARED = DATA | {Parameter, SparseParameter, Buffer, np.random.Generator, object}  # which hold no layers


def predict(model: Layer, x: ArrayLike, batch_size: int = 256) -> Array:
    """What a model gives for x in evaluation mode, computed batch by batch.

    Shapes      x (N, ...), or a tuple of such arrays, as the model takes it
                result (N, ...): for a classifier that ends in its loss, the probabilities (N, C)

    batch_size: how many rows of x at a time, which bounds the memory that it takes. Another one gives the same up to
    rounding: matrix products of other sizes add in another order.
    The thread is in evaluation mode meanwhile, so all layers are, however they are reached. It runs on copies of the
    layers that share the model's parameters and buffers: the model's modes and caches are not touched, and several
    threads may predict with one model at once, also while another trains it, unless a layer's forward writes into an
    array that it keeps; where layers are reached through functions, not while another trains.
    Raises ValueError for x without a batch axis or a batch_size below 1, TypeError for a model of several outputs.
    """
    check_model("predict", model, needs_loss=False)
    batch_size = whole_number("predict", "batch_size", batch_size, least=1)
    x = sliceable_parts("predict", x)
    copies: dict[int, Any] = {}
    copied = copied_layers(model, copies)
    # It raises TypeError for layers where it doesn't find them, in a set for example; it takes longer than the copies.
    layers = model.walk(Layer).values() if OTHERS in copies else ()
    # A function may call the layers themselves, not their copies. Else their caches are another thread's to change.
    caches = [(layer, vars(layer).get("cache")) for layer in layers] if FUNCTIONS in copies else []
    evaluating, thread.evaluating = thread.evaluating, True
    try:
        return _in_batches(copied, x, batch_size)
    finally:
        thread.evaluating = evaluating
        for layer, cache in caches:
            if vars(layer).get("cache") is not cache:
                drop_cache(layer) if cache is None else vars(layer).update(cache=cache)


def _in_batches(model: Layer, x: Any, batch_size: int) -> Array:
    n = (x[0] if isinstance(x, tuple) else x).shape[0]
    for i in range(0, max(1, n), batch_size):
        rows = _rows(x, slice(i, i + batch_size))
        y = prediction("predict", model, model(rows))
        if i == 0:
            result = np.empty((n, *y.shape[1:]), y.dtype)
        if y.shape != (count := min(batch_size, n - i), *result.shape[1:]):
            raise ValueError(
                f"predict: expected an output for each of the {count} rows of x, got shape {y.shape}; "
                "a single sample is a batch of one, x[None]"
            )
        result[i : i + batch_size] = y
    return result


def _rows(x: Any, rows: slice) -> Any:
    if isinstance(x, tuple):
        return tuple(plain_array("predict", f"x[{i}]", part[rows]) for i, part in enumerate(x))
    return plain_array("predict", "x", x[rows])


# copy.deepcopy with the parameters in its memo takes twice as long (59 µs for 64-64-10, whose forward takes 8), copies
# all other arrays that a layer keeps too, and fails for what can't be copied, a lock for example.
def copied_layers(value: Any, copies: dict[int, Any]) -> Any:
    """Copies of all layers, in evaluation mode and without caches; what holds no layer is shared.

    copies: those that there are already, by the id of the original; FUNCTIONS and OTHERS are added if there are any.
    """
    if id(value) in copies:
        return copies[id(value)]
    if type(value) is Array and not value.dtype.hasobject:
        return value
    if isinstance(value, Layer):
        layer = copies[id(value)] = object.__new__(type(value))  # copy.copy takes 1.5 µs more
        layer.__dict__ = own = Layer.__getstate__(value)  # that of a subclass may leave out a lock
        own["_training"] = False  # for threads that it starts
        for name, held in own.items():
            if type(held) not in SHARED and name != "_arguments":
                own[name] = copied_layers(held, copies)
        return layer
    if type(value) in (tuple, list) and not is_long_data(value):
        new = type(value)([held if type(held) in SHARED else copied_layers(held, copies) for held in value])
        return value if all(map(is_, new, value)) else new
    copies[OTHERS] = True
    if isinstance(value, MethodType) and isinstance(value.__self__, Layer):
        return MethodType(value.__func__, copied_layers(value.__self__, copies))
    if isinstance(value, (FunctionType, partial)):
        copies[FUNCTIONS] = True
    if not isinstance(value, (list, tuple, dict)) or is_long_data(value.values() if isinstance(value, dict) else value):
        return value
    return _copied_container(value, copies)


def _copied_container(value: Any, copies: dict[int, Any]) -> Any:
    """A named tuple, dict or list of a kind of its own, with copies of the layers in it; itself if there are none."""
    items = dict(value if isinstance(value, dict) else enumerate(value))
    changed = {key: new for key, held in items.items() if (new := copied_layers(held, copies)) is not held}
    if not changed:
        return value
    if isinstance(value, tuple):
        parts = (items | changed).values()
        return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
    container = copy.copy(value)
    for key, new in changed.items():
        container[key] = new
    return container
