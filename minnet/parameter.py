"""What a layer holds its arrays in: a Parameter is trained, a Buffer is saved only."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from .arguments import real_array, writable
from .tree import Node

FEW = 64  # runs that are summed in the time that it takes to tell which are of one row


class UseFreeze:
    """An attribute by which other frameworks freeze: to read or to set it is an AttributeError that names freeze."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, holder: Any, owner: type) -> Any:
        return self if holder is None else self.__set__(holder, None)

    def __set__(self, holder: Any, value: Any) -> NoReturn:
        raise AttributeError(f"{type(holder).__name__} has no {self.name}: freeze() and unfreeze() a layer instead")


class State(Node):
    """What Parameter and Buffer have in common: an array, which is used by its name, data."""

    data: Array

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.data.shape}, dtype={self.data.dtype})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Processes that share memory hand arrays on read-only; here they can be written to again."""
        vars(self).update({name: writable(v) if isinstance(v, Array) else v for name, v in state.items()})

    def _is_no_array(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self!r} is no array to compute with; use .data, the array in it")

    __array_ufunc__ = None  # makes NumPy leave `x * self.g` to the operators below
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _is_no_array
    __matmul__ = __rmatmul__ = __pow__ = __rpow__ = __neg__ = __array__ = _is_no_array


class Parameter(State):
    """A trainable array and its accumulated gradient.

    data: the values, made float32.  grad: of the same shape, zero at first.
    decay: whether an optimizer's weight decay applies; False for the biases of built-in layers.
    frozen: whether the layer's `freeze()` was called; an optimizer leaves it out then.
    Raises TypeError if data are not real numbers.
    """

    frozen: bool = False
    requires_grad = UseFreeze()

    def __init__(self, data: ArrayLike, *, decay: bool = True) -> None:
        self.data: Array = real_array("Parameter", data).astype(np.float32)
        self.grad: Array = np.zeros_like(self.data)
        self.decay = decay

    def zero_grad(self) -> None:
        """Set the gradient to zero, in place where it is an array that can be written to."""
        if isinstance(self.grad, Array) and self.grad.flags.writeable:
            self.grad.fill(0)
        else:  # `p.grad = p.grad + 1` makes a NumPy scalar of a 0-d array
            self.grad = np.zeros_like(self.data)

    def add_rows(self, ids: Array, dy: Array) -> None:
        """Add to rows of the gradient: grad[i] += Σ dy where ids = i.

        ids: integers from 0 to below len(data), of any shape.  dy: (*ids.shape, *data.shape[1:]).
        Raises TypeError for ids that are not integers, IndexError for some out of range, ValueError for another dy.
        """
        if ids.size:
            rows, sums = _sums(self, ids, dy)
            self.grad[rows] += sums


class SparseParameter(Parameter):
    """A parameter of many rows, of which few get gradient at a time: the others are neither cleared nor updated.

    Gradient    grad[i] = Σ dy where ids = i, over the calls of add_rows(ids, dy) since it was zero; 0 in other rows
    Update      of the rows that got gradient, as their optimizer says; the others stay as they are, their moments too

    So plain SGD and Adagrad do as if all rows were updated. Adam, RMSprop and momentum, which would move a row by
    earlier gradients too, wait until it gets another one, and weight decay does: Adam is PyTorch's SparseAdam, which
    differs in where it adds ε, to √v and not to √v̂. Optimizers with `per_parameter` and LBFGS update all rows.

    To read or assign `grad` is right, but slow: the rows that hold gradient are looked for then. Read it anew after
    it was set to zero.
    Raises what Parameter does; ValueError for a single number, which has no rows.
    """

    _rows: Array
    _sums: Array
    _touched: Array | None

    def __init__(self, data: ArrayLike, *, decay: bool = True) -> None:
        super().__init__(data, decay=decay)
        if not self.data.ndim:
            raise ValueError("SparseParameter: expected data with rows, got a single number")
        self.zero_grad()

    # The array is in vars(self)["grad"]. Until somebody reads it, it is zero, and the gradient of rows is in _rows and
    # _sums. From then on the gradient is in the array, and _touched says of each row whether add_rows added to it.
    @property
    def grad(self) -> Array:
        """The gradient, as an array like data. Whoever reads it may write to any row of it."""
        if self._touched is None:
            vars(self)["grad"][self._rows] = self._sums
            self._touched = np.zeros(len(self.data), bool)
            self._touched[self._rows] = True
        return vars(self)["grad"]

    @grad.setter
    def grad(self, grad: Array) -> None:
        if grad is not vars(self).get("grad") or self._touched is None:  # `p.grad *= 0.5` leaves what is noted
            self._touched = np.zeros(self.data.shape[:1], bool)
        vars(self)["grad"] = grad

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        if self._touched is not None:
            super().zero_grad()
        self._rows, self._sums, self._touched = np.zeros(0, np.int64), np.zeros_like(self.data[:0]), None

    def add_rows(self, ids: Array, dy: Array) -> None:
        """Add to rows of the gradient as any Parameter does, and raise what it does."""
        if not ids.size:
            return
        rows, sums = _sums(self, ids, dy)
        if self._touched is not None:
            vars(self)["grad"][rows] += sums
            self._touched[rows] = True
        elif len(self._rows):
            rows, sums = np.append(self._rows, rows), np.append(self._sums, sums, axis=0)
            self._rows, self._sums = _sums(self, rows, sums)
        else:
            self._rows, self._sums = rows, sums

    def by_row(self) -> tuple[Array, Array]:
        """(rows, sums): the rows that got gradient since it was zero, be it 0, and the gradient of each."""
        if self._touched is None:
            return self._rows, self._sums
        grad = vars(self)["grad"]
        matrix = grad.reshape(len(grad), math.prod(grad.shape[1:]))
        rows = np.flatnonzero(self._touched | matrix.any(axis=1))
        return rows, grad.take(rows, axis=0)

    def unread(self) -> Parameter:
        """An ordinary parameter with the same attributes, so that its grad is no more than the array."""
        ordinary = object.__new__(Parameter)
        ordinary.__dict__ = vars(self)
        return ordinary


# Sorting brings equal ids together, as runs that reduceat sums. It takes 0.2 µs for a run, so where most ids come once
# only, the first of each is copied, and what further ones add is summed as runs.
def _sums(parameter: Parameter, ids: Array, dy: Array) -> tuple[Array, Array]:
    """(rows, sums): each id once, and the sum of dy over the places where it is, in the dtype of the parameter."""
    n, (count, *entries) = ids.size, parameter.data.shape
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{parameter!r}: expected integer ids, got {ids.dtype}")
    if dy.shape != (*ids.shape, *entries):
        raise ValueError(f"{parameter!r}: expected dy of shape {(*ids.shape, *entries)}, got {dy.shape}")
    ids, dy = ids.reshape(-1).astype(np.int64), dy.reshape(n, *entries).astype(parameter.data.dtype, copy=False)
    keys = ids * n + np.arange(n)  # to sort ids alone, by a stable sort, takes ten times as long
    keys.sort()
    in_order, is_first = keys // n, np.ones(n, bool)
    if in_order[0] < 0 or in_order[-1] >= count:
        bad = in_order[0] if in_order[0] < 0 else in_order[-1]
        raise IndexError(f"{parameter!r}: expected ids from 0 to {count - 1}, got {bad}")
    np.not_equal(in_order[1:], in_order[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    if len(starts) <= max(FEW, n // 2):
        return in_order[starts], np.add.reduceat(dy.take(keys % n, axis=0), starts)
    further = np.flatnonzero(~is_first)
    if not len(further):
        return ids, dy.copy()
    starts = np.flatnonzero(is_first[further - 1])
    again, first = keys[further] % n, keys[further[starts] - 1] % n
    once = np.ones(n, bool)
    once[again] = False
    places = np.flatnonzero(once)
    sums = dy.take(places, axis=0)
    sums[np.searchsorted(places, first)] += np.add.reduceat(dy.take(again, axis=0), starts)
    return ids[places], sums


class Buffer(State):
    """An array that is saved with the model but not trained, a running mean for example.

    data: the values, made float32 if they are floating.
    Raises TypeError if data are not real numbers.
    """

    def __init__(self, data: ArrayLike) -> None:
        array = real_array("Buffer", data)
        self.data: Array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)
