"""check_layer: the contract of a layer, executable."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..layer import Buffer, Layer, Parameter, one_line
from .differences import Comparison, Differences
from .table import table
from .trial import Trial, as_inputs, cast, largest, non_contiguous, perturb, unregistered_arrays


@dataclass(frozen=True)
class GradientCheck:
    """A row of the report: how the gradient of one array compares with differences in one mode."""

    mode: str
    name: str
    shape: tuple[int, ...]
    comparison: Comparison


@dataclass(frozen=True)
class CheckReport:
    """What check_layer compared and found right. Prints as a table, with relative errors and a count of kinks."""

    layer: str
    gradients: list[GradientCheck]

    def __str__(self) -> str:
        rows = [("mode", "array", "shape", "entries checked", "worst error", "on a kink")]
        for row in self.gradients:
            compared = row.comparison
            rows.append(
                (row.mode, row.name, str(row.shape), compared.checked, f"{compared.error:.1e}", str(compared.kinks))
            )
        return "\n".join([f"{self.layer}: the gradients are right and the contract holds", *table(rows)])

    __repr__ = __str__


def check_layer(layer: Layer, *inputs: ArrayLike, rng: int | np.random.Generator = 0) -> CheckReport:
    """Whether a layer keeps its contract on these inputs, its derivative above all.

    layer: a Layer of any kind: with children, with randomness, with running statistics, or a loss with its target
    among the inputs. It is not changed: every pass runs on a float64 copy, whose parameters are moved off their
    initial values, since a gamma of 1 or a bias of 0 hides mistakes.
    inputs: what forward takes; the first is differentiated unless it holds ids. Several rows show more than one.
    rng: a seed or a generator, for the upstream gradient, the new values of parameters, and the sample of entries.

    Checked in both modes: the gradients of the input and of every parameter against central differences, all entries
    of small arrays, a sample and a random direction of large ones. Backward must add, give the same when repeated,
    and depend neither on earlier passes nor on the memory layout; nothing handed in may be written to, nor a parameter
    by forward; dx has the shape of x; float32 stays float32; evaluation is deterministic; the state survives a round
    trip.
    Where the slopes to the left and right of an entry differ (ReLU at 0), any value between them is right.

    Returns a report that prints as a table. Raises LayerCheckError, an AssertionError, that names the array.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"check_layer: expected a Layer, got {layer!r}")
    if len(inputs) < 1 + layer.is_loss:
        raise TypeError(
            f"check_layer: expected {'the scores and the target' if layer.is_loss else 'x'} after the layer"
        )
    rng = np.random.default_rng(rng)
    subject = perturb(copy.deepcopy(layer).astype(np.float64), rng)
    arrays = as_inputs(subject, inputs)
    training = Trial(subject.train(), arrays, rng)
    evaluation = Trial(_after_forward(training).eval(), arrays, rng)
    report = []
    for trial in (training, evaluation):
        gradients = _check_passes(trial)
        if trial is evaluation:
            _check_evaluation(trial)
        # Before the gradient check, which relies on it: all of its forwards run on one copy.
        _check_earlier_pass(trial)
        report += _check_gradients(trial, gradients)
        if layer.is_loss:
            _check_loss(trial)
        _check_layout(trial, gradients)
        _check_float32(trial)
    _check_state(evaluation, untrained=perturb(subject.eval(), rng))
    return CheckReport(one_line(layer), report)


def _check_passes(trial: Trial) -> dict[str, Array]:
    """Check that nothing is written to, a pass can be repeated, and backward adds. Returns the gradients."""
    layer, inputs, dy = trial.copy(), copy.deepcopy(trial.inputs), copy.deepcopy(trial.dy)
    given = [*zip(trial.names, inputs, trial.inputs), ("dy", dy, trial.dy)]
    states = layer.walk(Parameter, Buffer)
    y = layer(*inputs)
    before = trial.layer.named_parameters()
    weights = [(name, p.data, before[name].data) for name, p in layer.named_parameters().items() if name in before]
    trial.expect_untouched("forward", [*given, *weights])
    for name, state in layer.walk(Parameter, Buffer).items() | states.items():
        if states.get(name) is not state or layer.walk(Parameter, Buffer).get(name) is not state:
            trial.fail(f"forward replaced the {type(state).__name__} {name}; write into {name}.data[...]")
    trial.expect_same(
        y, trial.y, "two forwards from the same state differ; keep what is random in a Generator attribute"
    )
    first = trial.backward(layer, dy)
    trial.expect_untouched("backward", [*given, ("the y that forward had returned", y, trial.y)])
    second = trial.backward(layer, dy)
    for name, gradient in first.items():
        if name == trial.x:
            trial.expect_same(second[name], gradient, f"a second backward gives another gradient of {name}")
        elif gradient.any() and np.array_equal(second[name], gradient):
            trial.fail(f"backward assigns the gradient of {name} instead of adding to it")
        else:
            trial.expect_same(second[name], 2 * gradient, f"a second backward does not double the gradient of {name}")
    return first


def _check_gradients(trial: Trial, gradients: dict[str, Array]) -> list[GradientCheck]:
    """Check the gradients against differences. Returns the rows of the report."""
    layer = trial.copy()
    differences = Differences(_repeatable(trial, layer), trial.dy, trial.rng)
    arrays = {trial.x: trial.inputs[0]} if trial.x else {}
    arrays |= {name: p.data for name, p in layer.named_parameters().items()}
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


# Differences need many forwards; a copy of the layer for each would take more time than they do.
def _repeatable(trial: Trial, layer: Layer) -> Callable[[], Any]:
    """A forward of a copy, to be called again and again: buffers and generators are reset before each call."""
    reset = _resetting(layer, trial.layer)

    def forward() -> Any:
        reset()
        # Copies, since the values change in place: a layer that keeps something by the identity of x would miss that.
        return layer(*(x.copy() for x in trial.inputs))

    return forward


def _resetting(layer: Layer, like: Layer) -> Callable[[], None]:
    """A function that sets the buffers and generators of a layer to those of another copy of it."""
    buffers, generators = (
        [*zip(layer.walk(kind).values(), like.walk(kind).values())] for kind in (Buffer, np.random.Generator)
    )

    def reset() -> None:
        for buffer, other in buffers:
            buffer.data = other.data.copy()
        for generator, other in generators:
            generator.bit_generator.state = other.bit_generator.state

    return reset


def _check_earlier_pass(trial: Trial) -> None:
    """Check that a pass does not depend on an earlier one on other inputs."""
    used, new = trial.copy(), trial.copy()
    x, *rest = trial.inputs
    used(0.5 * np.flip(x) if trial.x else np.flip(x), *rest)
    trial.backward(used, trial.dy)
    used.zero_grad()
    _resetting(new, used)()
    advice = "depends on the pass before; is something kept from one forward to the next?"
    trial.expect_same(used(*trial.inputs), new(*trial.inputs), f"y {advice}")
    expected = trial.backward(new, trial.dy)
    for name, gradient in trial.backward(used, trial.dy).items():
        trial.expect_same(gradient, expected[name], f"the gradient of {name} {advice}")


def _check_layout(trial: Trial, expected: dict[str, Array]) -> None:
    """Check that arrays that are not contiguous in memory give the same results."""
    layer = trial.copy()
    inputs = [non_contiguous(x) for x in trial.inputs]
    try:
        y = layer(*inputs)
    except Exception as error:
        trial.fail(f"a non-contiguous input raises {type(error).__name__}: {error}", error)
    trial.expect_same(y, trial.y, "a non-contiguous input gives another y", size=1e-3 * largest(trial.inputs))
    gradients = trial.backward(layer, non_contiguous(trial.dy) if trial.y.ndim else trial.dy)
    size = max(largest(expected.values()), 1e-3 * largest([trial.dy]))
    for name, gradient in gradients.items():
        trial.expect_same(gradient, expected[name], f"a non-contiguous input gives another gradient of {name}", size)


def _check_float32(trial: Trial) -> None:
    """Check that a layer makes float32 of float32."""
    layer = trial.copy().astype(np.float32)
    y = layer(*(cast(x, np.float32) for x in trial.inputs))
    gradients = trial.backward(layer, cast(trial.dy, np.float32) if trial.y.ndim else trial.dy)
    arrays = {"y": y} if trial.y.ndim else {}
    arrays |= {f"the gradient of {name}": gradient for name, gradient in gradients.items()}
    for name, array in arrays.items():
        if array.dtype != np.float32:
            trial.fail(f"{name} is {array.dtype}, though everything handed in is float32{unregistered_arrays(layer)}")


def _check_evaluation(trial: Trial) -> None:
    """Check that forward in evaluation mode is deterministic and changes no state."""
    layer = trial.copy()
    first = np.array(layer(*trial.inputs))
    trial.expect_same(layer(*trial.inputs), first, "two forwards differ")
    before = trial.layer.state_dict()
    for name, after in layer.state_dict().items():
        trial.expect_same(after, before[name], f"forward changes {name}")


def _check_state(trial: Trial, untrained: Layer) -> None:
    """Check that the layer computes the same after a round trip of its state."""
    untrained.load_state_dict(trial.layer.state_dict())
    advice = f"is every array that training changes a Parameter or a Buffer?{unregistered_arrays(untrained)}"
    trial.expect_same(untrained(*trial.inputs), trial.y, f"y is another after a round trip of the state; {advice}")


def _check_loss(trial: Trial) -> None:
    """Check that a loss takes forward(x) without a target and backward() without dy: a model calls it so."""
    layer = trial.copy()
    try:
        layer(trial.inputs[0])
        layer(*trial.inputs)
        layer.backward()
    except Exception as error:
        trial.fail(f"expected a loss to take forward(x) and backward(), got {type(error).__name__}: {error}", error)


def _after_forward(trial: Trial) -> Layer:
    """The layer once its running statistics, if it has any, have moved."""
    layer = trial.copy()
    layer(*trial.inputs)
    layer.clear_cache()
    return layer
