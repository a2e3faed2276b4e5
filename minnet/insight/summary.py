"""summary: what a model consists of, and how large that is."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import DTypeLike

from ..arguments import described
from ..layer import Layer
from ..naming import one_line
from ..parts import each_part, is_several
from ..random import generator
from .arrays import is_float_array
from .observation import watch_layers
from .plain_arrays import untrained_arrays
from .table import table


@dataclass(frozen=True)
class LayerSummary:
    """A row of a summary: a layer, its output for one sample, its own parameters, and the bytes of its output.

    shape is None for a layer that was not run, or returned no array. parameters leaves out those of layers inside;
    shared ones are counted where they come first. A layer that returns the output of one inside it has 0 bytes.
    frozen: how many of the parameters are.
    """

    name: str
    layer: str
    shape: tuple[int, ...] | None
    parameters: int
    bytes: int
    frozen: int = 0


@dataclass(frozen=True)
class Summary:
    """What `summary` returns; prints as a table, with notes below it.

    notes: sentences about arrays that are neither trained nor saved and ought to be.
    """

    rows: list[LayerSummary]
    notes: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def frozen(self) -> int:
        """How many of the parameters are frozen."""
        return sum(row.frozen for row in self.rows)

    @property
    def trained(self) -> int:
        """How many of the parameters are not frozen."""
        return self.parameters - self.frozen

    @property
    def bytes(self) -> int:
        """Of the activations of one sample."""
        return sum(row.bytes for row in self.rows)

    def __str__(self) -> str:
        cells = [("layer", "output shape", "parameters", "bytes")]
        for row in self.rows:
            indent = "  " * sum(
                row.name.startswith(f"{outer.name}.") or not outer.name for outer in self.rows if outer != row
            )
            shape = "not run" if row.shape is None else f"({', '.join(['N', *map(str, row.shape)])})"
            name = f"{row.name}: " if row.name else ""
            cells.append((f"{indent}{name}{row.layer}", shape, f"{row.parameters:,}", f"{row.bytes:,}"))
        cells.append(("total", "", f"{self.parameters:,}", f"{self.bytes:,}"))
        counts = [f"{self.trained:,} parameters are trained, {self.frozen:,} are frozen"] if self.frozen else []
        return "\n".join([*table(cells, right=(2, 3)), *counts, *(f"- {note}" for note in self.notes)])

    __repr__ = __str__


def summary(model: Layer, input_shape: tuple[Any, ...], dtype: DTypeLike | None = None) -> Summary:
    """A table of a model's layers, nested ones too: output shape, parameters, and bytes of activations for one sample.

    A layer that is frozen says so. Below the table stand plain arrays that ought to be a Parameter or a Buffer.
    The shapes are those of a copy that is run on one sample of zeros in evaluation mode; the model is not touched.

    input_shape: of one sample, without the batch axis; for x that is a tuple, a tuple of these, () for lengths, or the
    tuple of arrays itself.
    dtype: of the sample; without one float32, or where the model refuses that, integers.
    Raises TypeError for other arguments, and what the model raises where it can't take such a sample.

    >>> from minnet import Linear, ReLU, Sequential, SoftmaxCrossEntropy, summary
    >>> summary(Sequential(Linear(64, 32), ReLU(), Linear(32, 10), SoftmaxCrossEntropy()), (64,))
    layer                       output shape  parameters  bytes
    Sequential(...)             (N, 10)                0      0
      0: Linear(64, 32)         (N, 32)            2,080    128
      1: ReLU()                 (N, 32)                0    128
      2: Linear(32, 10)         (N, 10)              330     40
      3: SoftmaxCrossEntropy()  (N, 10)                0     40
    total                                          2,410    336
    """
    if not isinstance(model, Layer):
        raise TypeError(f"summary: expected model to be a Layer, got {described(model)}")
    if not isinstance(input_shape, tuple):
        advice = "; pass x.shape[1:]" if isinstance(input_shape, Array) else ""
        raise TypeError(
            f"summary: expected input_shape to be a tuple, without the batch axis, got {described(input_shape)}{advice}"
        )
    if dtype is None:
        try:
            return summary(model, input_shape, np.float32)
        except TypeError:
            return summary(model, input_shape, np.int64)
    x = _sample(input_shape, dtype)
    outputs = _outputs(model, x)
    layers = model.walk(Layer)
    counts, frozen = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0)
    for name, parameter in model.named_parameters().items():
        holder = max((layer for layer in layers if not layer or name.startswith(f"{layer}.")), key=len)
        counts[holder] += parameter.data.size
        frozen[holder] += parameter.data.size * parameter.frozen
    rows = []
    for name, layer in layers.items():
        y = outputs.get(name)
        passed_on = any(y is outputs.get(f"{name}.{inner}".strip(".")) for inner in layer.walk(Layer) if inner)
        shape, size = (y.shape[1:], 0 if passed_on else y.nbytes) if isinstance(y, Array) else (None, 0)
        title = f"{one_line(layer)}, frozen" if layer.frozen else one_line(layer)
        rows.append(LayerSummary(name, title, shape, counts[name], size, frozen[name]))
    return Summary(rows, _notes(model, x))


def _sample(shape: tuple[Any, ...], dtype: DTypeLike) -> Any:
    """One sample of zeros, or the first one of several inputs."""
    if is_several(shape):
        return tuple(np.asarray(part)[:1] for part in shape)
    if any(isinstance(part, tuple) for part in shape):
        return tuple(np.zeros((1, *part), dtype) for part in shape)
    return np.zeros((1, *shape), dtype)


def _outputs(model: Layer, x: Any) -> dict[str, Any]:
    """What each layer of a copy of the model returns when x goes in, by name."""
    model = copy.deepcopy(model).eval()
    called, _ = watch_layers(model.walk(Layer))
    model(x)
    return {watch.name: watch.y for watch in called}


def _notes(model: Layer, x: Any) -> list[str]:
    """Sentences about arrays that ought to be trained or saved. Zeros would hide what they are multiplied by."""
    rng = generator(0)
    sample = each_part(lambda part: rng.normal(size=part.shape).astype(part.dtype) if is_float_array(part) else part, x)
    try:
        return untrained_arrays(model, lambda copied: copied.eval()(sample))
    except Exception:  # of a model that takes zeros, and not such a sample
        return []
