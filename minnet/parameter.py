"""What a layer holds its arrays in: a Parameter is trained, a Buffer is saved only."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from .arguments import real_array, writable
from .tree import Node


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


class Buffer(State):
    """An array that is saved with the model but not trained, a running mean for example.

    data: the values, made float32 if they are floating.
    Raises TypeError if data are not real numbers.
    """

    def __init__(self, data: ArrayLike) -> None:
        array = real_array("Buffer", data)
        self.data: Array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)
