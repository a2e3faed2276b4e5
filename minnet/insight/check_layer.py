"""check_layer: the contract of a layer, executable."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import described
from ..errors import LayerCheckError
from ..layer import Buffer, Layer, Parameter
from ..naming import one_line
from ..random import generator
from .differences import ALL_ENTRIES_UP_TO, Differences
from .explanations import Wrong, explanation
from .inputs import as_inputs, cast, each, named, non_contiguous, other_values, read_only
from .plain_arrays import kept_arrays, untrained_arrays
from .rebuilding import double_states
from .report import CheckReport, GradientCheck
from .trial import Trial, called_again, largest, perturb, resetting, unregistered_arrays

MANY_ENTRIES = 2000  # of all arrays, so many that each array is compared along directions: to move all takes minutes


def check_layer(layer: Layer, *inputs: ArrayLike, rng: int | np.random.Generator = 0) -> CheckReport:
    """Whether a layer keeps its contract on these inputs, its derivative above all.

    layer: a Layer of any kind: with children, with randomness, with running statistics, or a loss with its target
    among the inputs. It is not changed: every pass runs on a float64 copy, whose parameters are moved off their
    initial values, since a gamma of 1 or a bias of 0 hides mistakes.
    inputs: what forward takes; the first is differentiated unless it holds ids, and may be a tuple of arrays, of which
    each is: dx is a tuple then, with None for ids. Several rows show more than one.
    rng: a seed or a generator, for the upstream gradient, the new values of parameters, and the sample of entries.

    Checked in both modes: the gradients of the input and of every parameter against central differences, all entries
    of small arrays, a sample and a random direction of large ones, three directions of each in a net of many. Backward
    must add, give the same when repeated, and depend neither on earlier passes nor on the memory layout; nothing handed
    in may be written to, not even for a while, nor a parameter by a pass; dx has the shape of x; float32 stays float32;
    evaluation is deterministic; the state survives a round trip. What is frozen is checked as it is after unfreeze().
    Where the slopes to the left and right of an entry differ (ReLU at 0), any value between them is right.
    A plain floating array that y depends on must be a Parameter or a Buffer if something like its gradient stands
    beside it (dW, grad_W, or what backward writes in its shape), or if it is drawn at random: two layers built from the
    recorded arguments differ in it. Any other is a constant.

    Returns a report that prints as a table, with notes such as on arrays that stay after clear_cache. Raises
    LayerCheckError, an AssertionError, that names the array, says how its gradient differs where that is by a factor, a
    transpose or a missing sum, and carries the gradient by backward and by differences; TypeError and ValueError for
    inputs that are no arrays of finite real numbers.
    """
    _check_arguments(layer, inputs)
    rng = generator(rng)
    subject = perturb(copy.deepcopy(layer).unfreeze().astype(np.float64), rng)
    arrays = as_inputs(subject, inputs)
    training = Trial(subject.train(), arrays, rng)
    evaluation = Trial(_after_forward(training).eval(), arrays, rng)
    report = []
    for trial in (training, evaluation):
        gradients = _check_passes(trial)
        _check_read_only(trial)
        if trial is training:
            _check_plain_arrays(trial)
        else:
            _check_evaluation(trial)
        # Before the gradient check, which relies on it: all of its forwards run on one copy.
        _check_earlier_pass(trial)
        report += _check_gradients(trial, gradients)
        if layer.is_loss:
            _check_loss(trial)
        _check_layout(trial, gradients)
        _check_float32(trial)
    _check_state(evaluation, untrained=perturb(subject.eval(), rng))
    return CheckReport(one_line(layer), report, _notes(layer, training))


def _check_arguments(layer: Layer, inputs: tuple[Any, ...]) -> None:
    """Check what can be seen before any pass."""
    if not isinstance(layer, Layer):
        raise TypeError(f"check_layer: expected a Layer, got {described(layer)}")
    if len(inputs) < 1 + layer.is_loss:
        raise TypeError(
            f"check_layer: expected {'the scores and the target' if layer.is_loss else 'x'} after the layer"
        )
    if doubles := double_states(layer):
        raise LayerCheckError(
            f"{one_line(layer)}: {', '.join(doubles)} holds float64, though Parameter and Buffer make float32 of what "
            "they are given; write into its data[...]"
        )


def _check_passes(trial: Trial) -> dict[str, Array]:
    """Check that nothing is written to, a pass can be repeated, and backward adds. Returns the gradients."""
    layer, inputs, dy = trial.copy(), copy.deepcopy(trial.inputs), copy.deepcopy(trial.dy)
    given = [(name, x, before) for (name, x), (_, before) in zip(named(trial.names, inputs), trial.given)]
    given.append(("dy", dy, trial.dy))
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
    trial.expect_untouched("backward", [*given, *weights, ("the y that forward had returned", y, trial.y)])
    second = trial.backward(layer, dy)
    for name, gradient in first.items():
        if name in trial.differentiated:
            trial.expect_same(second[name], gradient, f"a second backward gives another gradient of {name}")
        elif gradient.any() and np.array_equal(second[name], gradient):
            trial.fail(f"backward assigns the gradient of {name} instead of adding to it")
        else:
            trial.expect_same(second[name], 2 * gradient, f"a second backward does not double the gradient of {name}")
    return first


def _check_read_only(trial: Trial) -> None:
    """Check that nothing handed in is written to, not even for a while: one array after the other can't be."""
    for name in [*(name for name, _ in trial.given), "dy"][: None if trial.y.ndim else -1]:
        layer = trial.copy()
        inputs = each(np.copy, trial.inputs)
        for other, x in named(trial.names, inputs):
            x.flags.writeable = other != name
        dy = read_only(trial.dy) if name == "dy" else copy.deepcopy(trial.dy)
        method = "forward"
        try:
            layer(*inputs)
            method = "backward"
            trial.call_backward(layer, dy)
        except Exception as error:
            import traceback  # here, since importing it takes a millisecond

            line = traceback.extract_tb(error.__traceback__)[-1].line
            trial.fail(f"{method} wrote into {name}: {line or error}", error)


def _check_plain_arrays(trial: Trial) -> None:
    """Check that no plain array ought to be a Parameter or a Buffer."""

    def run(layer: Layer) -> Any:
        y = layer(*each(np.copy, trial.inputs))
        trial.backward(layer, copy.deepcopy(trial.dy))
        return y

    if sentences := untrained_arrays(trial.layer, run):
        trial.fail("; ".join(sentences))


def _notes(layer: Layer, trial: Trial) -> list[str]:
    """What keeps the contract and could still be better."""

    def run(layer: Layer, others: bool) -> None:
        if others:
            for rng in layer.walk(np.random.Generator).values():
                rng.random()
        layer(*(other_values(trial.inputs) if others else trial.inputs))
        trial.backward(layer, copy.deepcopy(trial.dy))

    notes = [
        f"{name}: an array of the last pass in an attribute of its own, which clear_cache() leaves in memory and "
        "pickle takes along; keep it in self.cache"
        for name in kept_arrays(trial.layer, run)
    ]
    if any(inner.frozen for inner in layer.walk(Layer).values()):
        notes.append("it is frozen, and was checked as it is after unfreeze()")
    return notes


def _check_gradients(trial: Trial, gradients: dict[str, Array]) -> list[GradientCheck]:
    """Check the gradients against differences. Returns the rows of the report."""
    layer = trial.copy()
    forward = _repeatable(trial, layer)
    arrays = trial.differentiated | {name: p.data for name, p in layer.named_parameters().items()}
    differences = Differences(forward, trial.dy, trial.rng, arrays=arrays.values())
    many = sum(min(array.size, ALL_ENTRIES_UP_TO) for array in arrays.values()) > MANY_ENTRIES
    compare = differences.compare_along_directions if many else differences.compare
    mode = "training" if trial.layer.training else "evaluation"
    rows = [GradientCheck(mode, name, x.shape, compare(x, gradients[name])) for name, x in arrays.items()]
    complaints = {row.name: row.comparison for row in rows if row.comparison.complaint}
    wrong = [Wrong(name, arrays[name], gradients[name], np.array(c.numeric)) for name, c in complaints.items()]
    texts = []
    for w in wrong:
        because = explanation(trial, w, wrong, forward)
        texts.append(f"wrong gradient of {w.name} {complaints[w.name].complaint}{because and f'; {because}'}")
    if wrong:
        first, text = wrong[0], "; ".join(texts) + called_again(trial)
        trial.fail(text, name=first.name, gradient=first.gradient, numeric=first.numeric)
    return rows


# Differences need many forwards; a copy of the layer for each would take more time than they do.
def _repeatable(trial: Trial, layer: Layer) -> Callable[[], Any]:
    """A forward of a copy, to be called again and again: buffers and generators are reset before each call."""
    reset = resetting(layer, trial.layer)

    def forward() -> Any:
        reset()
        # Copies, since the values change in place: a layer that keeps something by the identity of x would miss that.
        return layer(*each(np.copy, trial.inputs))

    return forward


def _check_earlier_pass(trial: Trial) -> None:
    """Check that a pass does not depend on an earlier one on other inputs."""
    used, new = trial.copy(), trial.copy()
    used(*other_values(trial.inputs))
    trial.backward(used, trial.dy)
    used.zero_grad()
    resetting(new, used)()
    advice = "depends on the pass before; is something kept from one forward to the next?"
    trial.expect_same(used(*trial.inputs), new(*trial.inputs), f"y {advice}")
    expected = trial.backward(new, trial.dy)
    for name, gradient in trial.backward(used, trial.dy).items():
        trial.expect_same(gradient, expected[name], f"the gradient of {name} {advice}")


def _check_layout(trial: Trial, expected: dict[str, Array]) -> None:
    """Check that arrays that are not contiguous in memory give the same results."""
    layer = trial.copy()
    inputs = each(non_contiguous, trial.inputs)
    try:
        y = layer(*inputs)
    except Exception as error:
        trial.fail(f"a non-contiguous input raises {type(error).__name__}: {error}", error)
    trial.expect_same(
        y, trial.y, "a non-contiguous input gives another y", size=1e-3 * largest(x for _, x in trial.given)
    )
    gradients = trial.backward(layer, non_contiguous(trial.dy) if trial.y.ndim else trial.dy)
    size = max(largest(expected.values()), 1e-3 * largest([trial.dy]))
    for name, gradient in gradients.items():
        trial.expect_same(gradient, expected[name], f"a non-contiguous input gives another gradient of {name}", size)


def _check_float32(trial: Trial) -> None:
    """Check that a layer makes float32 of float32."""
    layer = trial.copy().astype(np.float32)
    y = layer(*each(lambda x: cast(x, np.float32), trial.inputs))
    gradients = trial.backward(layer, cast(trial.dy, np.float32) if trial.y.ndim else trial.dy)
    arrays = {"y": y} if trial.y.ndim else {}
    arrays |= {f"the gradient of {name}": gradient for name, gradient in gradients.items()}
    for name, array in arrays.items():
        if array.dtype != np.float32:
            trial.fail(f"{name} is {array.dtype}, though everything handed in is float32{unregistered_arrays(layer)}")
    for name, state in layer.walk(Parameter, Buffer).items():
        if state.data.dtype.kind == "f" and state.data.dtype != np.float32:
            trial.fail(f"a pass makes {state.data.dtype} of {name}, though everything handed in is float32")


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
