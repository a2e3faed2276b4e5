"""check_layer: the contract of a layer, executable."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from .differences import Comparison, Differences
from .layer import Buffer, Layer, label


class LayerCheckError(AssertionError):
    """A layer breaks its contract; the message says where."""


@dataclass(frozen=True)
class GradientCheck:
    """A row of the report: how the gradient of one array compares with differences in one mode."""

    mode: str
    name: str
    shape: tuple[int, ...]
    comparison: Comparison


@dataclass(frozen=True)
class CheckReport:
    """What check_layer found in order. Prints as a table; errors are relative, and entries on a kink are counted."""

    layer: str
    gradients: list[GradientCheck]

    def __str__(self) -> str:
        rows = [("mode", "array", "shape", "entries checked", "worst error", "on a kink")]
        for row in self.gradients:
            compared = row.comparison
            rows.append(
                (row.mode, row.name, str(row.shape), compared.checked, f"{compared.error:.1e}", str(compared.kinks))
            )
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([f"{self.layer}: the gradients are right and the contract holds", *lines])

    __repr__ = __str__


def check_layer(layer: Layer, *inputs: ArrayLike, rng: int | np.random.Generator = 0) -> CheckReport:
    """Whether a layer keeps its contract on these inputs, its derivative above all.

    layer: a Layer of any kind: with children, with randomness, with running statistics, or a loss with its target
    among the inputs. It is not changed: every pass runs on a float64 copy, whose parameters are moved off their
    initial values, since a gamma of 1 or a bias of 0 hides mistakes.
    inputs: what forward takes; the first is differentiated unless it is of integers. Several rows show more than one.
    rng: what draws the upstream gradient, the moves, and the sample of entries.

    Checked in both modes: the gradients of the input and of every parameter against central differences, all entries
    of small arrays, a sample and a random direction of large ones. Backward must add, give the same when repeated,
    and depend neither on earlier passes nor on the memory layout; nothing handed in may be written to; dx has the
    shape of x; float32 stays float32; evaluation is deterministic; the state survives a round trip.
    Where the slopes on the two sides of an entry differ (ReLU at 0), whatever lies between them is right.

    Returns a report that prints as a table. Raises LayerCheckError, an AssertionError, that names the array.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"check_layer: expected a Layer, got {layer!r}")
    if not inputs:
        raise TypeError("check_layer: expected the inputs of forward after the layer")
    rng = np.random.default_rng(rng)
    arrays = [_cast(np.array(x), np.float64) for x in inputs]
    subject = _moved_off(copy.deepcopy(layer).astype(np.float64), rng)
    training = _Trial(subject.train(), arrays, rng)
    evaluation = _Trial(_after_forward(training).eval(), arrays, rng)
    report = []
    for trial in (training, evaluation):
        gradients = _check_passes(trial)
        report += _check_gradients(trial, gradients)
        _check_earlier_pass(trial)
        _check_layout(trial, gradients)
        _check_float32(trial)
    _check_evaluation(evaluation)
    _check_state(evaluation, untrained=_moved_off(subject.eval(), rng))
    return CheckReport(label(layer), report)


class _Trial:
    """A layer in one mode, its inputs, an upstream gradient. Passes run on copies, so all start from the same state."""

    def __init__(self, layer: Layer, inputs: list[Array], rng: np.random.Generator) -> None:
        self.layer, self.inputs, self.rng = copy.deepcopy(layer), inputs, rng
        names = list(inspect.signature(layer.forward).parameters)
        self.names = names if len(names) >= len(inputs) else [f"input {i}" for i in range(len(inputs))]
        self.x = self.names[0] if inputs[0].dtype.kind == "f" else None
        y = self.copy()(*inputs)
        if not isinstance(y, (Array, float)) or not np.isfinite(y).all():
            self.fail(f"expected forward to return an array, or a loss, of finite numbers, got {y!r}")
        if np.asarray(y).dtype != np.float64:
            self.fail(f"forward makes {np.asarray(y).dtype} of float64 input")
        self.y = np.array(y)
        self.dy: Any = (
            rng.normal(size=y.shape) if isinstance(y, Array) else float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5))
        )

    def copy(self) -> Layer:
        return copy.deepcopy(self.layer)

    def fail(self, what: str) -> NoReturn:
        raise LayerCheckError(f"{label(self.layer)}: {what}{'' if self.layer.training else ' (in evaluation mode)'}")

    def backward(self, layer: Layer, dy: Any) -> dict[str, Array]:
        """Copies of the gradients of the first input and of the parameters, by name."""
        asks = "input_gradient" in inspect.signature(layer.backward).parameters
        try:
            dx = layer.backward(dy, input_gradient=True) if asks else layer.backward(dy)
        except Exception as error:
            raise LayerCheckError(f"{label(self.layer)}: backward raises {type(error).__name__}: {error}") from error
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
        """size: of what the numbers were summed from, where another order of the sum is no fault."""
        tolerance = 1e-9 * max(np.max(np.abs(expected), initial=0), size)
        if np.shape(got) != np.shape(expected) or not (np.abs(got - expected) <= tolerance).all():
            self.fail(complaint)

    def expect_untouched(self, method: str, handed: Iterable[tuple[str, Any, Any]]) -> None:
        for name, array, before in handed:
            if not np.array_equal(array, before):
                self.fail(f"{method} wrote into {name}")


def _check_passes(trial: _Trial) -> dict[str, Array]:
    """Nothing is written to, a pass can be repeated, and backward adds. Returns the gradients."""
    layer, inputs, dy = trial.copy(), copy.deepcopy(trial.inputs), copy.deepcopy(trial.dy)
    handed = [*zip(trial.names, inputs, trial.inputs), ("dy", dy, trial.dy)]
    y = layer(*inputs)
    trial.expect_untouched("forward", handed)
    trial.expect_same(
        y, trial.y, "two forwards from the same state differ; keep what is random in a Generator attribute"
    )
    first = trial.backward(layer, dy)
    trial.expect_untouched("backward", [*handed, ("the y that forward had returned", y, trial.y)])
    second = trial.backward(layer, dy)
    for name, gradient in first.items():
        if name == trial.x:
            trial.expect_same(second[name], gradient, f"a second backward gives another gradient of {name}")
        elif gradient.any() and np.array_equal(second[name], gradient):
            trial.fail(f"backward assigns the gradient of {name} instead of adding to it")
        else:
            trial.expect_same(second[name], 2 * gradient, f"a second backward does not double the gradient of {name}")
    return first


def _check_gradients(trial: _Trial, gradients: dict[str, Array]) -> list[GradientCheck]:
    """The gradients are those that differences give."""
    differences = Differences(lambda: trial.copy()(*trial.inputs), trial.dy, trial.rng)
    arrays = {trial.x: trial.inputs[0]} if trial.x else {}
    arrays |= {name: p.data for name, p in trial.layer.named_parameters().items()}
    rows = [
        GradientCheck(
            "training" if trial.layer.training else "evaluation",
            name,
            array.shape,
            differences.compare(array, gradients[name]),
        )
        for name, array in arrays.items()
    ]
    if wrong := [
        f"wrong gradient of {row.name} {row.comparison.complaint}" for row in rows if row.comparison.complaint
    ]:
        trial.fail("; ".join(wrong))
    return rows


def _check_earlier_pass(trial: _Trial) -> None:
    """A pass that follows one on other inputs is like a first one."""
    used, new = trial.copy(), trial.copy()
    x, *rest = trial.inputs
    used(0.5 * np.flip(x) if trial.x else np.flip(x), *rest)
    trial.backward(used, trial.dy)
    used.zero_grad()
    for name, buffer in used.walk(Buffer).items():
        new.walk(Buffer)[name].data[...] = buffer.data
    for name, generator in used.walk(np.random.Generator).items():
        new.walk(np.random.Generator)[name].bit_generator.state = generator.bit_generator.state
    advice = "depends on the pass before; is something kept from one forward to the next?"
    trial.expect_same(used(*trial.inputs), new(*trial.inputs), f"y {advice}")
    expected = trial.backward(new, trial.dy)
    for name, gradient in trial.backward(used, trial.dy).items():
        trial.expect_same(gradient, expected[name], f"the gradient of {name} {advice}")


def _check_layout(trial: _Trial, expected: dict[str, Array]) -> None:
    """Arrays whose items lie apart in memory give the same."""
    layer = trial.copy()
    inputs = [_strided(x) for x in trial.inputs]
    try:
        y = layer(*inputs)
    except Exception as error:
        raise LayerCheckError(
            f"{label(layer)}: a non-contiguous input raises {type(error).__name__}: {error}"
        ) from error
    trial.expect_same(y, trial.y, "a non-contiguous input gives another y", size=1e-3 * _largest(trial.inputs))
    gradients = trial.backward(layer, _strided(trial.dy) if trial.y.ndim else trial.dy)
    size = max(_largest(expected.values()), 1e-3 * _largest([trial.dy]))
    for name, gradient in gradients.items():
        trial.expect_same(gradient, expected[name], f"a non-contiguous input gives another gradient of {name}", size)


def _check_float32(trial: _Trial) -> None:
    """float32 in, float32 out."""
    layer = trial.copy().astype(np.float32)
    y = layer(*(_cast(x, np.float32) for x in trial.inputs))
    gradients = trial.backward(layer, _cast(trial.dy, np.float32) if trial.y.ndim else trial.dy)
    arrays = {f"the gradient of {name}": gradient for name, gradient in gradients.items()}
    for name, array in (arrays | ({"y": y} if trial.y.ndim else {})).items():
        if array.dtype != np.float32:
            trial.fail(f"{name} is {array.dtype}, though everything handed in is float32")


def _check_evaluation(trial: _Trial) -> None:
    """In evaluation mode, forward is deterministic and changes no state."""
    layer = trial.copy()
    first = np.array(layer(*trial.inputs))
    trial.expect_same(layer(*trial.inputs), first, "two forwards differ")
    before = trial.layer.state_dict()
    for name, after in layer.state_dict().items():
        trial.expect_same(after, before[name], f"forward changes {name}")


def _check_state(trial: _Trial, untrained: Layer) -> None:
    """What the layer has learned is in its state."""
    untrained.load_state_dict(trial.layer.state_dict())
    advice = "is every array that training changes a Parameter or a Buffer?"
    trial.expect_same(untrained(*trial.inputs), trial.y, f"y is another after a round trip of the state; {advice}")


def _after_forward(trial: _Trial) -> Layer:
    """The layer once its running statistics, if it has any, have moved."""
    layer = trial.copy()
    layer(*trial.inputs)
    layer.clear_cache()
    return layer


def _moved_off(layer: Layer, rng: np.random.Generator) -> Layer:
    """The layer with its parameters off their initial values, and without gradients or cache."""
    for p in layer.parameters():
        p.data *= rng.uniform(0.5, 1.5, p.data.shape)
        p.data += np.where(p.data == 0, rng.normal(0, 0.5, p.data.shape), 0)
        p.grad.fill(0)
    layer.clear_cache()
    return layer


def _largest(arrays: Iterable[Array]) -> float:
    return max((float(np.max(np.abs(array), initial=0)) for array in arrays), default=0.0)


def _cast(array: Array, dtype: type) -> Array:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def _strided(array: Array) -> Array:
    """The same values in columns, with room between them in memory."""
    wide = np.zeros((*array.shape[::-1], 2), array.dtype)
    wide[..., 0] = array.T
    return wide[..., 0].T
