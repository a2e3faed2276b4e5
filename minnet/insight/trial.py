"""What check_layer runs a layer on: copies of it in one mode, its inputs and an upstream gradient."""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray as Array

from ..errors import LayerCheckError
from ..layer import Buffer, Layer
from ..naming import one_line
from .inputs import Inputs, named
from .observation import watch_layers


class Trial:
    """A layer in one mode, its inputs, an upstream gradient. Passes run on copies, so all start from the same state.

    given: (name, array) of all inputs.  differentiated: those that have a gradient, by name.
    """

    def __init__(self, layer: Layer, inputs: Inputs, rng: np.random.Generator) -> None:
        self.layer, self.inputs, self.rng = copy.deepcopy(layer), inputs, rng
        names = list(inspect.signature(layer.forward).parameters)
        self.names = names if len(names) >= len(inputs) else [f"input {i}" for i in range(len(inputs))]
        self.given = list(named(self.names, inputs))
        self.differentiated = {name: x for name, x in named(self.names, inputs[:1]) if x.dtype.kind == "f"}
        y = self.copy()(*inputs)
        _check_output(self, y)
        self.y = np.array(y)
        self.dy: Any = (
            rng.normal(size=y.shape) if isinstance(y, Array) else float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5))
        )

    def copy(self) -> Layer:
        """A copy of the layer as it was before any pass."""
        return copy.deepcopy(self.layer)

    def fail(self, what: str, cause: Exception | None = None, **gradients: Any) -> NoReturn:
        """Raise LayerCheckError that names the layer. gradients: name, gradient and numeric of one that is wrong."""
        what = what.replace(f"{self.layer!r}: ", "")
        mode = "" if self.layer.training else " (in evaluation mode)"
        raise LayerCheckError(f"{one_line(self.layer)}: {what}{mode}", **gradients) from cause

    def backward(self, layer: Layer, dy: Any) -> dict[str, Array]:
        """Copies of the gradients of the first input and of the parameters, by name."""
        try:
            dx = self.call_backward(layer, dy)
        except Exception as error:
            advice = "; is a sum missing?" if "broadcast" in str(error) else ""
            self.fail(f"backward raises {type(error).__name__}: {error}{advice}{called_again(self)}", error)
        gradients = _gradients_of_x(self, dx)
        for name, p in layer.named_parameters().items():
            if np.shape(p.grad) != p.data.shape:
                advice = _sum_advice(np.shape(p.grad), p.data.shape)
                self.fail(
                    f"expected the gradient of {name} in its shape {p.data.shape}, got {np.shape(p.grad)}{advice}"
                )
            gradients[name] = np.array(p.grad)
        for name, gradient in gradients.items():
            if not np.isfinite(gradient).all():
                self.fail(f"the gradient of {name} is not finite", name=name, gradient=gradient)
        return gradients

    def call_backward(self, layer: Layer, dy: Any) -> Any:
        """What backward returns, asked for dx where it has to be."""
        asks = "input_gradient" in inspect.signature(layer.backward).parameters
        return layer.backward(dy, input_gradient=True) if asks else layer.backward(dy)

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


def called_again(trial: Trial) -> str:
    """Which inner layers with a cache forward calls more than once, as a phrase; "" if it calls none so."""
    layer = trial.copy()
    called, _ = watch_layers({name: inner for name, inner in layer.walk(Layer).items() if name})
    layer(*trial.inputs)
    counts = Counter(watch.name for watch in called)
    outer = tuple(f"{name}." for name, count in counts.items() if count > 1)
    return "".join(
        f"; inner {watch.title}, is called {'twice' if counts[watch.name] == 2 else f'{counts[watch.name]} times'} "
        "in one forward; its cache is that of the last call"
        for watch in dict.fromkeys(called)
        if counts[watch.name] > 1 and not watch.name.startswith(outer)
        if any("cache" in vars(inner) for inner in watch.layer.walk(Layer).values())
    )


def _check_output(trial: Trial, y: Any) -> None:
    """Check what forward returns."""
    if not isinstance(y, (Array, float)) or not np.isfinite(y).all():
        expected = "expected forward to return an array, or a float if it is a loss, of finite numbers"
        if isinstance(y, (tuple, list)):
            trial.fail(
                f"{expected}, got a {type(y).__name__} of {len(y)}; a layer has one output: join them along the "
                "last axis (np.concatenate) and split them in the layer after it, or write a layer for each"
            )
        got = f"{np.shape(y)} with nan or inf" if isinstance(y, (Array, float)) else type(y).__name__
        trial.fail(f"{expected}, got {got}")
    if trial.layer.is_loss and not isinstance(y, float):
        trial.fail(f"expected the loss of a batch to be a float, got an array of shape {y.shape}")
    if np.asarray(y).dtype != np.float64:
        trial.fail(f"forward makes {np.asarray(y).dtype} of float64 input")


def _gradients_of_x(trial: Trial, dx: Any) -> dict[str, Array]:
    """What backward returns, by the name of the input, after checking that it fits."""
    x, (name, *_) = trial.inputs[0], trial.names
    parts = dx if isinstance(x, tuple) else (dx,)
    if isinstance(x, tuple) and (not isinstance(dx, tuple) or len(dx) != len(x)):
        got = f"a tuple of {len(dx)}" if isinstance(dx, tuple) else getattr(dx, "shape", type(dx).__name__)
        trial.fail(
            f"expected backward to return a tuple of {len(x)}, a gradient for each array in {name} and None for "
            f"one of integers, got {got}"
        )
    for (name, array), part in zip(named(trial.names, trial.inputs[:1]), parts):
        if name not in trial.differentiated and part is not None:
            returned = f"None for {name}" if isinstance(x, tuple) else "None"
            trial.fail(
                f"expected backward to return {returned}, since {name} is of integers, got {type(part).__name__}"
            )
        if name in trial.differentiated and (not isinstance(part, Array) or part.shape != array.shape):
            got, advice = getattr(part, "shape", part), _sum_advice(np.shape(part), array.shape)
            trial.fail(
                f"expected backward to return the gradient of {name} in its shape {array.shape}, got {got}{advice}"
            )
    return {name: np.array(part) for (name, _), part in zip(trial.given, parts) if name in trial.differentiated}


def _sum_advice(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What makes a gradient of one shape one of another, as a phrase; "" if no sum does."""
    extra = len(got) - len(expected)
    if extra <= 0 or got[extra:] != expected:
        return ""
    if all(size == 1 for size in got[:extra]):
        return "; is it a sum with keepdims=True?"
    return f"; sum it over axis {', '.join(map(str, range(extra)))}"


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
    """Move the parameters off their initial values and clear gradients and caches, in place. Returns the layer."""
    for p in layer.parameters():
        moved = np.array(p.data * rng.uniform(0.5, 1.5, p.data.shape))
        moved += np.where(moved == 0, rng.normal(0, 0.5, moved.shape), 0)
        p.data, p.grad = moved, np.zeros_like(moved)
    layer.clear_cache()
    return layer


def resetting(layer: Layer, like: Layer) -> Callable[[], None]:
    """A function that sets the buffers and generators of a layer to those of another copy of it."""
    buffers, generators = (
        [*zip(layer.walk(kind).values(), like.walk(kind).values())] for kind in (Buffer, np.random.Generator)
    )

    def reset() -> None:
        for buffer, other in buffers:
            buffer.data = other.data.copy()
        for own, other in generators:
            own.bit_generator.state = other.bit_generator.state

    return reset


def largest(arrays: Iterable[Array]) -> float:
    """The largest absolute value in any of the arrays, 0 if there is none."""
    return max((float(np.max(np.abs(array), initial=0)) for array in arrays), default=0.0)
