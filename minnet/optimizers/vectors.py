"""The vectors of an optimizer: all its parameters lie in one, their gradients in another, and so does each moment.

So an update is a few array operations, however many layers a model has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import writable
from ..layer import Parameter
from ..parameter import SparseParameter
from .first_step import FirstStep
from .segments import Ordinary, segments

Parameters = Iterable[Parameter]


class BeforeInit:
    """What an attribute is before Optimizer.__init__ has set it: reading it raises RuntimeError."""

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self
        raise RuntimeError(
            f"{owner.__name__}: its __init__ did not call super().__init__(parameters, lr), which must come first"
        )


class Vectors:
    """Parameters, each of whose data and gradient is a view of a vector, and moments, vectors of the same length."""

    per_parameter = False
    _by_rows: bool  # whether update may get some rows of a parameter alone
    parameters: list[Parameter] = BeforeInit()  # type: ignore[assignment]
    moments: dict[str, Array] = BeforeInit()  # type: ignore[assignment]
    _views: list[tuple[Parameter, Array, Array]]
    _segments: list[Ordinary]  # none unless some parameters are sparse, of which update gets rows
    _w: Array
    _g: Array
    _first: FirstStep | None = None  # None after the first step, where update gets the vectors as they are

    @property
    def name(self) -> str:
        return type(self).__name__

    def gather(self) -> None:
        """Copy arrays that were assigned to parameters into the vectors.

        Raises ValueError for a parameter that was frozen, or has another shape or dtype, since the optimizer was made.
        """
        try:  # a descriptor as for moments would cost each step 0.03 µs
            views = self._views
        except AttributeError:
            BeforeInit().__get__(self, type(self))
        for p, w, g in views:
            if p.data is not w or p.grad is not g:
                _take_in(self.name, p, w, g)

    def zero_grad(self) -> None:
        """Set all gradients to zero; a step does so too."""
        self.gather()
        if self._segments:
            for segment in self._segments:
                segment.clear()
        else:
            self._g.fill(0)

    def gradient_is_finite(self) -> bool:
        """Whether the whole gradient is finite; the sum of its squares, one dot product, tells in most cases."""
        self.gather()
        if self._segments:
            return all(np.isfinite(segment.gradient()).all() for segment in self._segments)
        g = self._g
        try:
            square = g.dot(g)
        except FloatingPointError:  # where NumPy was told to raise one
            square = math.inf
        return math.isfinite(square) or bool(np.isfinite(g).all())

    def _make_writable(self) -> None:
        """Copy moments that came along read-only, from another process or a memory map; make all views writable."""
        self.moments = {name: writable(moment) for name, moment in self.moments.items()}
        for _, w, g in self._views:
            w.flags.writeable = g.flags.writeable = True

    def _move_in(self) -> None:
        """Make the two vectors, with gradients of zero, and the views that parameters become when they are assigned."""
        self._w = np.concatenate([np.reshape(p.data, -1) for p in self.parameters])
        self._g = np.zeros_like(self._w)
        self._views, end = [], 0
        for p in self.parameters:
            start, end, shape = end, end + np.size(p.data), np.shape(p.data)
            held = p.unread() if isinstance(p, SparseParameter) and self._by_rows else p
            self._views.append((held, self._w[start:end].reshape(shape), self._g[start:end].reshape(shape)))
        self._segments = segments(self.parameters, self._views, self._w, self._g) if self._by_rows else []

    # Copying turns views into separate arrays, so a copied optimizer makes new vectors.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_w", "_g", "_views", "_segments")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._first = FirstStep()
        self._move_in()
        for p, w, g in self._views:
            if not p.frozen:  # of one that is, gather tells
                _take_in(self.name, p, w, g)


def _take_in(owner: str, p: Parameter, w: Array, g: Array) -> None:
    """Copy what was assigned to a parameter into its two views, and make it a parameter of them again."""
    if p.frozen:
        raise ValueError(
            f"{owner}: a parameter of shape {w.shape} was frozen after the optimizer was made; make a new optimizer"
        )
    data, grad = _as_array(p.data, w.dtype), _as_array(0 if p.grad is None else p.grad, w.dtype)
    if data.shape != w.shape or data.dtype != w.dtype:
        raise ValueError(
            f"{owner}: expected a parameter of shape {w.shape} and {w.dtype}, as when it was made, got {data.shape} "
            f"and {data.dtype}; make a new optimizer after changing a model"
        )
    if (grad.shape != g.shape and p.grad is not None) or not np.can_cast(grad.dtype, g.dtype, "same_kind"):
        raise ValueError(
            f"{owner}: expected the grad of a parameter to be an array of its shape {w.shape} and {w.dtype}, got one "
            f"of {grad.shape} and {grad.dtype}"
        )
    w.flags.writeable = g.flags.writeable = True  # both are views of arrays that are
    w[...], g[...] = data, grad
    p.data, p.grad = w, g


def _as_array(value: Any, dtype: np.dtype[Any]) -> Array:
    """value as an array; a number of Python's, which has no dtype of its own, in this one."""
    return np.asarray(value, dtype if type(value) in (int, float) else None)


def parted(owner: str, parameters: Parameters) -> tuple[list[Parameter], list[Parameter]]:
    """The parameters that are trained, each once, and those that are frozen.

    Raises TypeError or ValueError if those that are trained don't fit into a vector.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{owner}: expected parameters to be what model.parameters() returns, got {parameters!r}")
    found = list(parameters)
    for p in found:
        if not isinstance(p, Parameter):
            raise TypeError(f"{owner}: expected parameters to be what model.parameters() returns, got {p!r} among them")
    if not found:
        raise ValueError(f"{owner}: expected at least one parameter, got none")
    if not (trained := [p for p in found if not p.frozen]):
        raise ValueError(f"{owner}: all parameters are frozen; call unfreeze() of the layers to train")
    dtypes = {np.asarray(p.data).dtype for p in trained}
    if len(dtypes) > 1:
        told = " and ".join(sorted(map(str, dtypes)))
        raise ValueError(f"{owner}: expected parameters of one dtype, got {told}; use model.astype")
    (dtype,) = dtypes
    if dtype.kind != "f" or dtype.itemsize < 4:
        raise ValueError(f"{owner}: expected parameters of float32 or float64, got {dtype}; use model.astype")
    return list({id(p): p for p in trained}.values()), [p for p in found if p.frozen]
