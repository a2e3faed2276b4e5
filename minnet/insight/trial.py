"""What check_layer runs a layer on: copies of it in one mode, its inputs and an upstream gradient."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..errors import LayerCheckError
from ..layer import Layer, one_line


class Trial:
    """A layer in one mode, its inputs, an upstream gradient. Passes run on copies, so all start from the same state."""

    def __init__(self, layer: Layer, inputs: list[Array], rng: np.random.Generator) -> None:
        self.layer, self.inputs, self.rng = copy.deepcopy(layer), inputs, rng
        names = list(inspect.signature(layer.forward).parameters)
        self.names = names if len(names) >= len(inputs) else [f"input {i}" for i in range(len(inputs))]
        self.x = self.names[0] if inputs[0].dtype.kind == "f" else None
        y = self.copy()(*inputs)
        if not isinstance(y, (Array, float)) or not np.isfinite(y).all():
            got = f"{np.shape(y)} with nan or inf" if isinstance(y, (Array, float)) else type(y).__name__
            self.fail(f"expected forward to return an array, or a float if it is a loss, of finite numbers, got {got}")
        if layer.is_loss and not isinstance(y, float):
            self.fail(f"expected the loss of a batch to be a float, got an array of shape {y.shape}")
        if np.asarray(y).dtype != np.float64:
            self.fail(f"forward makes {np.asarray(y).dtype} of float64 input")
        self.y = np.array(y)
        self.dy: Any = (
            rng.normal(size=y.shape) if isinstance(y, Array) else float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5))
        )

    def copy(self) -> Layer:
        """A copy of the layer as it was before any pass."""
        return copy.deepcopy(self.layer)

    def fail(self, what: str, cause: Exception | None = None) -> NoReturn:
        """Raise LayerCheckError that names the layer."""
        what = what.replace(f"{self.layer!r}: ", "")
        mode = "" if self.layer.training else " (in evaluation mode)"
        raise LayerCheckError(f"{one_line(self.layer)}: {what}{mode}") from cause

    def backward(self, layer: Layer, dy: Any) -> dict[str, Array]:
        """Copies of the gradients of the first input and of the parameters, by name."""
        asks = "input_gradient" in inspect.signature(layer.backward).parameters
        try:
            dx = layer.backward(dy, input_gradient=True) if asks else layer.backward(dy)
        except Exception as error:
            self.fail(f"backward raises {type(error).__name__}: {error}", error)
        if self.x is None and dx is not None:
            self.fail(
                f"expected backward to return None, since {self.names[0]} is of integers, got {type(dx).__name__}"
            )
        if self.x and (not isinstance(dx, Array) or dx.shape != self.inputs[0].shape):
            self.fail(
                f"expected backward to return the gradient of {self.x} in its shape {self.inputs[0].shape}, "
                f"got {getattr(dx, 'shape', dx)}"
            )
        gradients = {self.x: np.array(dx)} if self.x else {}
        for name, p in layer.named_parameters().items():
            if p.grad.shape != p.data.shape:
                self.fail(f"expected the gradient of {name} in its shape {p.data.shape}, got {p.grad.shape}")
            gradients[name] = p.grad.copy()
        for name, gradient in gradients.items():
            if not np.isfinite(gradient).all():
                self.fail(f"the gradient of {name} is not finite")
        return gradients

    def expect_same(self, got: Any, expected: Any, complaint: str, size: float = 0.0) -> None:
        """Fail unless both agree to within 1e-9 of the largest expected value, or of `size` if that is larger."""
        tolerance = 1e-9 * max(np.max(np.abs(expected), initial=0), size)
        if np.shape(got) != np.shape(expected) or not (np.abs(got - expected) <= tolerance).all():
            self.fail(complaint)

    def expect_untouched(self, method: str, arrays: Iterable[tuple[str, Any, Any]]) -> None:
        """Fail if a method wrote into one of the arrays, each given as (name, array, copy from before)."""
        for name, array, before in arrays:
            if not np.array_equal(array, before):
                self.fail(f"{method} wrote into {name}")


def as_inputs(layer: Layer, inputs: tuple[ArrayLike, ...]) -> list[Array]:
    """The inputs as arrays, real ones in float64.

    Integers in the first become float64 too if the layer has a gradient for it; otherwise they are ids.
    """
    arrays = [cast(np.array(x), np.float64) for x in inputs]
    for i, array in enumerate(arrays):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"check_layer: expected inputs of finite numbers, got nan or inf in input {i}")
    if arrays[0].dtype.kind in "biu":
        copied = copy.deepcopy(layer)
        try:
            y = copied(arrays[0].astype(np.float64), *arrays[1:])
            if copied.backward(np.ones_like(y) if isinstance(y, Array) else 1.0) is not None:
                arrays[0] = arrays[0].astype(np.float64)
        except (TypeError, ValueError, IndexError):  # it takes integers only
            pass
    return arrays


def unregistered_arrays(layer: Layer) -> str:
    """Which attributes are arrays but neither Parameter nor Buffer, as a phrase for an error; "" if there are none."""
    names = [
        f"{path}.{name}" if path else name
        for path, inner in layer.walk(Layer).items()
        for name, value in vars(inner).items()
        if isinstance(value, Array) and name != "cache"
    ]
    return f" ({', '.join(names)}: neither trained nor saved)" if names else ""


def perturb(layer: Layer, rng: np.random.Generator) -> Layer:
    """Move the parameters off their initial values, in place, and clear gradients and caches. Returns the layer."""
    for p in layer.parameters():
        p.data *= rng.uniform(0.5, 1.5, p.data.shape)
        p.data += np.where(p.data == 0, rng.normal(0, 0.5, p.data.shape), 0)
        p.grad.fill(0)
    layer.clear_cache()
    return layer


def largest(arrays: Iterable[Array]) -> float:
    """The largest absolute value in any of the arrays, 0 if there is none."""
    return max((float(np.max(np.abs(array), initial=0)) for array in arrays), default=0.0)


def cast(array: Array, dtype: type) -> Array:
    """A floating array in another dtype; others as they are."""
    return array.astype(dtype) if array.dtype.kind == "f" else array


def non_contiguous(array: Array) -> Array:
    """A copy in column-major order, with a gap in memory after each value."""
    wide = np.zeros((*array.shape[::-1], 2), array.dtype)
    wide[..., 0] = array.T
    return wide[..., 0].T
