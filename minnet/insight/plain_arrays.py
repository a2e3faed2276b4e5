"""Arrays that a layer holds in attributes of its own, neither as Parameter nor as Buffer: which of them are mistakes.

What most write first is `self.W = np.random.randn(...)`, which no optimizer and no file ever sees. A constant is right.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer
from ..naming import one_line
from ..random import generator
from ..tree import Node, is_long_data
from .arrays import is_float_array, rms
from .observation import watch_layers
from .rebuilding import rebuilt, unmoved

Path = tuple[Any, ...]  # the name of an attribute, and the indices and keys below it
BEFORE = ("d", "dl", "dld", "delta", "nabla")  # what a name of a gradient begins with: dW, dL_dW
WORDS = ("grad", "grads", "gradient", "gradients")  # or begins or ends with, or is: grad_W, W_grad, grads["W"]
MOVE = 0.1  # by how much an array is moved, relative to its entries, to see whether y depends on it


def untrained_arrays(model: Layer, run: Callable[[Layer], Any]) -> list[str]:
    """A sentence for each plain floating array, in attributes, lists and dicts, that ought to be trained or saved.

    run: called with a copy of the model, it does a forward, a backward where there is one, and returns what forward
    gave. An array is named if moving it changes that, or what its layer gives, and if either
    - an attribute that looks like its gradient stands beside it: dW, grad_W or the like, of its shape; or backward
      writes an array of its shape that is neither dy nor dx; or
    - it was drawn at random: two layers that are built from the recorded arguments of the constructor differ in it.
    All else is a constant: a table, a mask, whatever was handed to the constructor. No layer or generator is changed.
    """
    layers = model.walk(Layer)
    candidates = {
        name: paths
        for name, layer in layers.items()
        if (paths := [path for path, a in plain_arrays(layer).items() if is_float_array(a) and a.flags.writeable])
    }
    if not candidates:
        return []
    trace = _Trace(model, run, candidates)
    if not _same(trace.outputs, _Trace(model, run, candidates).outputs):
        return []  # it draws from what can't be reset, so that nothing can be said
    return [
        f"{f'layer {name}, ' if name else ''}{one_line(layers[name])}: {'.'.join(map(str, path))}: "
        "neither trained nor saved; make it a Parameter, or a Buffer"
        for name, paths in candidates.items()
        for path in _suspects(layers[name], paths, trace.written[name], trace.layers[name])
        if not _same(trace.outputs, _Trace(model, run, candidates, moved=(name, path)).outputs)
    ]


def kept_arrays(layer: Layer, run: Callable[[Layer, bool], Any]) -> list[str]:
    """The names of attributes in which arrays of a pass stay after clear_cache.

    run: called with a copy of the layer, and whether inputs and draws are to be others, it does a pass.
    """
    left: list[dict[str, Array]] = []
    for others in (False, True):
        copied = copy.deepcopy(layer)
        run(copied, others)
        copied.clear_cache()
        arrays = [(name, *found) for name, inner in copied.walk(Layer).items() for found in plain_arrays(inner).items()]
        left.append({".".join(map(str, (name, *path) if name else path)): array for name, path, array in arrays})
    return [name for name, array in left[0].items() if not _same(array, left[1].get(name))]


def plain_arrays(layer: Layer) -> dict[Path, Array]:
    """The arrays in a layer's attributes, and in lists, tuples and dicts there; without those of layers inside."""
    return {path: value for path, value in _values(layer.members()) if isinstance(value, Array)}


class _Trace:
    """What a run of a copy gives, with an array moved or with none.

    outputs: what run returns, and what each of the layers with candidates gives.
    written: for each of these, what its backward writes into plain arrays.
    layers: those of the copy, after the run.
    """

    def __init__(
        self,
        model: Layer,
        run: Callable[[Layer], Any],
        candidates: Iterable[str],
        moved: tuple[str, Path] | None = None,
    ) -> None:
        model = copy.deepcopy(model)
        self.layers = {name: model.walk(Layer)[name] for name in candidates}
        if moved:
            array = plain_arrays(self.layers[moved[0]])[moved[1]]
            array += MOVE * np.maximum(abs(array), rms(array) or 1.0) * generator(0).uniform(0.5, 1.5, array.shape)
        called, _ = watch_layers(self.layers)
        self.written = {name: _record_writes(layer) for name, layer in self.layers.items()}
        with unmoved(), np.errstate(all="ignore"):
            try:
                self.outputs = [run(model)]
            except Exception as error:
                if not moved:
                    raise
                self.outputs = [error]  # which shows as well as a number that it depends on the array
        self.outputs += [watch.y for watch in called]


def _record_writes(layer: Layer) -> dict[Path, tuple[Array, bool]]:
    """What the layer's backward writes into its plain arrays, when it is called later, and whether that is dy or dx."""
    backward, written = layer.backward, {}

    def recording_backward(*gradients: Any, **options: Any) -> Any:
        before = {path: array.copy() for path, array in plain_arrays(layer).items()}
        dx = backward(*gradients, **options)
        passed = [value for _, value in _values(enumerate([*gradients, dx]))]
        for path, array in plain_arrays(layer).items():
            if not _same(array, before.get(path)):
                written[path] = array.copy(), any(_same(array, value) for value in passed)
        return dx

    vars(layer)["backward"] = recording_backward
    return written


def _suspects(layer: Layer, paths: list[Path], written: dict[Path, tuple[Array, bool]], after: Layer) -> list[Path]:
    """Those that have a gradient, or were drawn at random. after: the layer after a run."""
    shapes = {path: array.shape for path, array in plain_arrays(layer).items()}
    empty = {place: value for place, value in _values(after.members()) if _is_empty(value)}
    pair = rebuilt(layer)
    one, other = map(plain_arrays, pair) if pair else ({}, {})
    return [
        path
        for path in paths
        if any(
            a.shape == shapes[path] and (not passed or _is_named_so(place, path))
            for place, (a, passed) in written.items()
        )
        or any(np.shape(value) in ((), shapes[path]) and _is_named_so(place, path) for place, value in empty.items())
        or (path in one and path in other and not _same(one[path], other[path]))
    ]


def _is_empty(value: Any) -> bool:
    """Whether a value may be the place of a gradient before any backward: None or zeros."""
    return value is None or (isinstance(value, (Array, int, float)) and not np.any(value))


def _is_named_so(place: Path, path: Path) -> bool:
    """Whether a place is named like that of the gradient of what stands at a path."""
    differing = [(a, b) for a, b in zip(place, path) if a != b]
    if len(place) != len(path) or len(differing) != 1:
        return False
    own, name = (str(part).lower().replace("_", "") for part in differing[0])
    begun = {f"{word}{name}" for word in (*BEFORE, *WORDS)}
    return own in begun | {f"{name}{word}" for word in WORDS} | ({*WORDS} if len(path) > 1 else set())


def _values(members: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Path, Any]]:
    """(path, value) of each member, and of those of lists, tuples and dicts."""
    for name, value in members:
        if isinstance(value, (list, tuple, dict)):
            inner = list(value.values() if isinstance(value, dict) else value)
            if not is_long_data(inner):
                keys = value if isinstance(value, dict) else range(len(inner))
                yield from (((name, *path), found) for path, found in _values(zip(keys, inner)))
        elif not isinstance(value, Node):
            yield (name,), value


def _same(one: Any, other: Any) -> bool:
    """Whether two results are the same, to the last bit; those that hold no numbers if they are of one type."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, (Array, float, int)) and isinstance(other, (Array, float, int)):
        return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")
    return type(one) is type(other)
