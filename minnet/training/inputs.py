"""What fit, evaluate and predict are given, checked before anything is changed."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, is_stored, plain_array
from ..data.batches import Batches
from ..layer import Layer
from ..layers.containers import Sequential
from ..naming import one_line
from ..optimizers.optimizer import Optimizer
from ..parts import is_several, named_parts

Data = Iterable[tuple[Any, ...]] | tuple[Any, Any] | tuple[Any, Any, Any]  # batches, or arrays as batched takes them
Metrics = Mapping[str, Callable[[Array, Array], float]]

PARTS = ("x", "y", "sample_weight")
CHUNK = 2**20  # entries that are checked at a time
TRAINED_ROWS, MEASURED_ROWS = 32, 256  # in a batch of arrays that are given without


def check_model(owner: str, model: Any, needs_loss: bool = True) -> None:
    """Raise unless model is a Layer and, if needs_loss, no Sequential without a loss at its end."""
    if not isinstance(model, Layer):
        raise TypeError(f"{owner}: expected model to be a Layer, got {described(model)}")
    if needs_loss and isinstance(model, Sequential) and not model.is_loss:
        raise ValueError(
            f"{owner}: expected a model that ends in a loss, got {one_line(model[-1]) if model else None} at the end; "
            "add SoftmaxCrossEntropy(), for example"
        )


def check_optimizers(model: Layer, given: Any) -> list[Optimizer]:
    """The optimizers, one or a list of them. Raise unless they share out parameters of this model that are not frozen.

    Their step must take nothing.
    """
    several = isinstance(given, (list, tuple))
    optimizers = list(given) if several else [given]
    if not optimizers:
        raise ValueError(f"fit: expected optimizer to be an Optimizer or a list of several, got {given!r}")
    names, held = {id(p): name for name, p in model.named_parameters().items()}, set()
    for optimizer in optimizers:
        _check_optimizer(optimizer, several)
        if not any(parameter.frozen for parameter in optimizer.parameters):  # which is told below, by name
            optimizer.gather()
        for parameter in optimizer.parameters:
            if id(parameter) not in names:
                raise ValueError(
                    "fit: expected an optimizer of this model's parameters, got one that holds others; "
                    "make it from model.parameters()"
                )
            name = names[id(parameter)]
            if parameter.frozen:
                raise ValueError(
                    f"fit: expected an optimizer without frozen parameters, got one that holds {name}; "
                    "make a new optimizer after freeze()"
                )
            if id(parameter) in held:
                raise ValueError(f"fit: expected optimizers of different parameters, got {name} in two of them")
            held.add(id(parameter))
    _check_left_out(optimizers, names, held)
    return optimizers


def _check_left_out(optimizers: list[Optimizer], names: dict[int, str], held: set[int]) -> None:
    """Raise if a parameter was frozen when an optimizer was made, and is not now, and none holds it."""
    for parameter in chain.from_iterable(optimizer.left_out for optimizer in optimizers):
        if not parameter.frozen and id(parameter) in names.keys() - held:
            raise ValueError(
                f"fit: expected an optimizer of {names[id(parameter)]}, which was unfrozen after the optimizer was "
                "made; make a new optimizer after unfreeze()"
            )


def _check_optimizer(optimizer: Any, one_of_several: bool) -> None:
    if not isinstance(optimizer, Optimizer):
        among = " among them" if one_of_several else ""
        raise TypeError(f"fit: expected optimizer to be an Optimizer, got {described(optimizer)}{among}")
    if inspect.signature(optimizer.step).parameters:
        raise TypeError(
            f"fit: expected an optimizer whose step takes nothing, got {optimizer.name}; call its step yourself"
        )


def check_modes(model: Layer) -> None:
    """Raise if some layers are in evaluation mode and others not, but for frozen ones and those that hold layers."""
    layers = model.walk(Layer)
    if len({layer.training for layer in layers.values() if not layer.frozen}) < 2:
        return
    plain = {name: layer for name, layer in layers.items() if len(layer.walk(Layer)) == 1}
    modes = {name: layer.training for name, layer in plain.items() if not layer.frozen}
    if len(set(modes.values())) > 1:
        name = next(name for name, training in modes.items() if not training)
        raise ValueError(
            f"fit: expected all layers in training mode, got layer {name}, {one_line(layers[name])}, in evaluation "
            "mode; freeze() it to keep it so, or call model.train() to train all"
        )


def batched(owner: str, name: str, data: Any, model: Layer, training: bool = False) -> Any:
    """Data as batches: arrays (x, y) or (x, y, sample_weight) in a tuple as Batches, all else as it is.

    It is arrays if x is one, or a tuple of arrays and y has no arrays in it; a tuple of batches has tuples or lists.
    training: for batches of 32 rows in a new order each epoch; otherwise they come in order. Integer x stays integer,
    all else gets the dtype of the model's parameters.
    """
    if type(data) is not tuple or len(data) not in (2, 3):
        return data
    x, y, *weight = data
    if isinstance(x, tuple) and any(map(_is_batch, data[1:])):
        return data
    if not (is_several(x) or _is_array(x)):
        return data
    rows = TRAINED_ROWS if training else MEASURED_ROWS
    ids = not isinstance(x, tuple) and (x if is_stored(x) else np.asarray(x)).dtype.kind in "iu"
    dtype = next((parameter.data.dtype for parameter in model.parameters()), np.dtype(np.float32))
    try:
        y = y if _is_array(y) else plain_array(owner, "y", y)
        rows = max(1, min([rows, *np.shape(y)[:1]]))
        return Batches(x, y, rows, training, dtype=None if ids else dtype, extra=tuple(weight))
    except (TypeError, ValueError) as error:
        error.add_note(f"{owner}: this was in {name}")
        raise


def prediction(owner: str, model: Layer, y: Any) -> Array:
    """What a model gave for its prediction, as one array. Raises TypeError for several."""
    if type(y) is Array and y.dtype.kind != "O":
        return y
    several = isinstance(y, (tuple, dict)) or (isinstance(y, list) and any(isinstance(each, Array) for each in y))
    if several:
        raise TypeError(f"{owner}: expected {one_line(model)} to give one array, got a {type(y).__name__}")
    return plain_array(owner, "the prediction", y)


def unshuffled(data: Data) -> Data:
    """Data without a shuffle, which draws from a generator, and so would change what is trained afterwards."""
    if type(data) is not Batches or not data.shuffle:
        return data
    ordered = copy.copy(data)
    ordered.shuffle = False
    return ordered


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and not isinstance(value, type)


def _is_batch(value: Any) -> bool:
    """Whether a tuple or list has arrays in it, as (x, y) has, and no rows of one array."""
    return isinstance(value, (tuple, list)) and any(map(_is_array, value))


def check_batches(owner: str, name: str, data: Any, again: bool = False) -> None:
    """Raise unless data can be batches; and, if again, can be iterated over again."""
    expected = f"{owner}: expected {name} to be Batches(x, y, batch_size), arrays (x, y) or another iterable of (x, y)"
    if isinstance(data, (Array, str, Mapping)) or not isinstance(data, Iterable):
        raise TypeError(f"{expected}, got {type(data).__name__}")
    if isinstance(data, Sequence):
        if not data:
            raise ValueError(f"{expected}, got an empty {type(data).__name__}")
        if not isinstance(data[0], (list, tuple)):
            raise TypeError(f"{expected}, got a {type(data).__name__} of {type(data[0]).__name__}")
    if again and isinstance(data, Iterator):
        raise TypeError(
            f"{expected} that can be read every epoch, got a {type(data).__name__}, which is used up after one; "
            "make it a list" + ", or give steps_per_epoch" * (name == "train")
        )


def check_batch(owner: str, batch: Any) -> None:
    """Raise unless it is (x, y) or (x, y, sample_weight) with as many rows each, and real x."""
    if not isinstance(batch, (list, tuple)) or len(batch) not in (2, 3):
        got = f"{len(batch)} of them" if isinstance(batch, (list, tuple)) else type(batch).__name__
        raise ValueError(f"{owner}: expected a batch to be (x, y) or (x, y, sample_weight), got {got}")
    arrays = {name: plain_array(owner, name, part) for name, part in parts_of(batch).items()}
    shapes = [array.shape for array in arrays.values()]
    if len({shape[:1] for shape in shapes}) > 1 or not all(shapes):
        raise ValueError(
            f"{owner}: expected {', '.join(arrays)} to have as many rows, got shapes {' and '.join(map(str, shapes))}"
        )
    if not shapes[0][0]:
        raise ValueError(f"{owner}: expected at least one row, got x of shape {shapes[0]}")
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" and name[0] == "x":
            raise TypeError(f"{owner}: expected {name} of real numbers, got {array.dtype}")
        if array.dtype.kind == "f" and array.ndim < 2 and name == "x":
            raise ValueError(f"{owner}: expected x of shape (N, ...) with a feature axis, got {array.shape}")


def parts_of(batch: Sequence[Any]) -> dict[str, Any]:
    """The arrays of a batch by name; those of a tuple x are x[0], x[1] and so on."""
    x, *rest = batch
    return {**(named_parts(x) if is_several(x) else {"x": x}), **dict(zip(PARTS[1:], rest))}


def check_batch_size(train: Data) -> None:
    """Raise if train has fewer samples than its batch_size."""
    if isinstance(train, Batches) and train.y.shape[0] < train.batch_size:
        raise ValueError(
            f"fit: expected train to have at least one batch of batch_size={train.batch_size} samples, "
            f"got {train.y.shape[0]}; choose a smaller batch_size"
        )


def check_values(name: str, data: Data) -> bool:
    """Raise if a value is not finite. Returns whether data could be checked beforehand: Batches, list or tuple."""
    if isinstance(data, Batches):
        for part, array in data.arrays().items():
            check_finite(f"{name}'s {part}", array)
    elif type(data) in (list, tuple):
        for _ in checked(name, data):
            pass
    return type(data) in (Batches, list, tuple)


def checked(name: str, data: Iterable[Any], done: int = 0) -> Iterator[Any]:
    """Yield the batches of data, each after checking its form and values. done: how many batches there were before."""
    for i, batch in enumerate(data, done + 1):
        check_batch(f"fit: batch {i} of {name}", batch)
        for part, array in parts_of(batch).items():
            check_finite(f"{part} of batch {i} of {name}", array)
        yield batch


def check_finite(name: str, values: Any) -> None:
    """Raise ValueError that names the first row and column with NaN or infinity, if there is any."""
    array = values if is_stored(values) else np.atleast_1d(np.asarray(values))
    if array.dtype.kind != "f":
        return
    n = array.shape[0]
    rows = max(1, CHUNK * n // max(1, math.prod(array.shape)))
    for start in range(0, n, rows):
        part = np.asarray(array[start : start + rows])
        if not np.isfinite(part).all():
            row, *place = (int(i) for i in np.argwhere(~np.isfinite(part))[0])
            column = f", column {place[0] if len(place) == 1 else tuple(place)}" if place else ""
            value = part[(row, *place)]
            raise ValueError(f"fit: expected {name} to be finite, got {value} in row {start + row}{column}")


def check_metrics(owner: str, metrics: Any) -> None:
    """Raise unless metrics are functions by name."""
    if not isinstance(metrics, Mapping):
        raise TypeError(f"{owner}: expected metrics to be a dict of functions by name, got {described(metrics)}")
    for name, metric in metrics.items():
        if not isinstance(name, str) or not callable(metric):
            raise TypeError(f"{owner}: expected metrics to be a dict of functions by name, got {name!r}: {metric!r}")
        if name in ("loss", "accuracy"):
            raise ValueError(
                f"{owner}: expected metrics with names of their own, got {name!r}, which is measured anyway"
            )
