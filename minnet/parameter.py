"""What a layer holds its arrays in: a Parameter is trained, a Buffer is saved only."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from .arguments import real_array
from .tree import Node


class Parameter(Node):
    """A trainable array and its accumulated gradient.

    data: the values, made float32.  grad: of the same shape, zero at first.
    decay: whether an optimizer's weight decay applies; False for the biases of built-in layers.
    Raises TypeError if data are not real numbers.
    """

    def __init__(self, data: ArrayLike, *, decay: bool = True) -> None:
        self.data: Array = real_array("Parameter", data).astype(np.float32)
        self.grad: Array = np.zeros_like(self.data)
        self.decay = decay

    __array_ufunc__ = None  # makes `x * self.g` an error: it must be `x * self.g.data`

    def __repr__(self) -> str:
        return f"Parameter(shape={self.data.shape}, dtype={self.data.dtype})"


class Buffer(Node):
    """An array that is saved with the model but not trained, a running mean for example.

    data: the values, made float32 if they are floating.
    Raises TypeError if data are not real numbers.
    """

    def __init__(self, data: ArrayLike) -> None:
        array = real_array("Buffer", data)
        self.data: Array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)

    __array_ufunc__ = None

    def __repr__(self) -> str:
        return f"Buffer(shape={self.data.shape}, dtype={self.data.dtype})"
