"""A model under observation: what passes each layer of a copy, and what experiments on copies show.

diagnose draws its conclusions from these. Neither the model nor any generator is changed by them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer, Parameter, label
from ..random import generator

STEPS = 300  # of learning a few samples by heart
GROWTH, SHRINKAGE = 1.5, 0.25  # of the learning rate after a step that led down, and after one that did not
STEP, TOLERANCE = 1e-6, 1e-2  # of differences in float64, both relative: a wrong sign or factor shows without precision
BESIDE = 1e-3  # relative too: how far from a kink a gradient is looked at


class Watch:
    """Stands in for forward and backward of one layer of a copy, and keeps what passed last.

    own: the layer's parameters by name, without those of layers below it.
    inputs, options, y: of forward.  dy, dx: of backward.  push: what to add to y.
    """

    def __init__(self, name: str, layer: Layer, own: dict[str, Parameter]) -> None:
        self.name, self.layer, self.own = name, layer, own
        self.title = f"layer {name}, {label(layer)}" if name else label(layer)
        self.inputs: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}
        self.y: Any = None
        self.dy: Any = None
        self.dx: Any = None
        self.push: Any = None

    @property
    def x(self) -> Any:
        """The first of the inputs."""
        return self.inputs[0] if self.inputs else None

    def attach(self, called: list[Watch], returned: list[Watch]) -> None:
        """Put itself in between, and into one list after each forward and into the other after each backward."""
        forward, backward = self.layer.forward, self.layer.backward

        def watched_forward(*inputs: Any, **options: Any) -> Any:
            y = forward(*inputs, **options)
            self.inputs, self.options = inputs, options
            self.y = y if self.push is None else y + self.push
            called.append(self)
            return self.y

        def watched_backward(*gradients: Any, **options: Any) -> Any:
            self.dy = gradients[0] if gradients else None
            self.dx = backward(*gradients, **options)
            returned.append(self)
            return self.dx

        # Containers and __call__ look forward and backward up in the instance, where these come first.
        vars(self.layer).update(forward=watched_forward, backward=watched_backward)


class Observation:
    """A copy of a model in training mode, with a batch of x, y and maybe sample weights.

    Every pass starts from the same random state.

    called, returned: the watches of all layers that have parameters of their own or no layers below them, in the order
    in which their last forwards and backwards ended.
    """

    def __init__(self, model: Layer, x: Array, y: Array, *weights: Array) -> None:
        self.model, self.x, self.y, self.weights = copy.deepcopy(model).train(), x, y, weights
        self.called: list[Watch] = []
        self.returned: list[Watch] = []
        generators = [*self.model.walk(np.random.Generator).values(), generator()]
        self.states = [(drawn, drawn.bit_generator.state) for drawn in generators]
        for name, layer in self.model.walk(Layer).items():
            below = [inner for inner in layer.walk(Layer).values() if inner is not layer]
            inner = {id(p) for other in below for p in other.parameters()}
            own = {name: p for name, p in layer.named_parameters().items() if id(p) not in inner}
            if own or not below:
                Watch(name, layer, own).attach(self.called, self.returned)

    def forward(self) -> float:
        """The loss. Raises TypeError if model(x, y) is none."""
        self.called.clear()
        loss = self.rewinding(partial(self.model, self.x, self.y, *self.weights))
        if not isinstance(loss, (float, np.floating)):
            raise TypeError(
                f"{label(self.model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}"
            )
        return float(loss)

    def backward(self) -> None:
        """The gradients of the last forward, in place of those that were there."""
        self.returned.clear()
        self.model.zero_grad()
        self.rewinding(self.model.backward)

    def rewinding(self, run: Callable[[], Any]) -> Any:
        """What run() returns; afterwards all generators are as they were, the package's too."""
        try:
            return run()
        finally:
            for drawn, state in self.states:
                drawn.bit_generator.state = state


def learn_by_heart(model: Layer, x: Array, y: Array) -> tuple[float, float]:
    """The loss of a few samples before and after plain gradient steps on them alone, by a copy of the model.

    The learning rate finds itself: a step that does not lead down is taken back, and the next one is smaller.
    """
    trial = Observation(model, x, y)
    parameters = trial.model.parameters()
    before = loss = trial.forward()
    trial.backward()
    rate, at = 0.1, [(p, p.data.copy(), p.grad.copy()) for p in parameters]
    for _ in range(STEPS):
        for p, w, g in at:
            p.data[...] = w - rate * g
        reached = trial.forward()
        if reached < loss:
            loss, rate = reached, rate * GROWTH
            trial.backward()
            at = [(p, p.data.copy(), p.grad.copy()) for p in parameters]
        else:
            rate *= SHRINKAGE
    return before, loss


def wrong_gradient(model: Layer, x: Array, y: Array) -> str | None:
    """Where a gradient does not fit differences of the loss, the nearest to the loss; None if all fit."""
    double = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in (x, y)]
    trial = Observation(model, *double)
    trial.model.astype(np.float64)
    trial.forward()
    trial.backward()
    following = "what follows"
    for watch in reversed(list(trial.called)):
        if is_real(watch.y) and is_real(watch.dy) and not _fits(trial, watch, "push", watch.y, "dy"):
            return f"the gradient that {following} hands back to {watch.title}"
        for name, p in watch.own.items():
            if not _fits(trial, p, "data", p.data, "grad"):
                return f"the gradient of {name} of {watch.title}"
        following = watch.title
    return None


def first_not_finite(trial: Observation, loss: float) -> tuple[str, str] | None:
    """Where the first value that is not finite appears, and a sentence about it."""
    for name, array in (("x", trial.x), ("y", trial.y)):
        if bad := not_finite(array):
            return name, f"{name} holds {bad}; clean the data, or leave such samples out"
    for watch in trial.called:
        if not_finite(watch.y) or any(not_finite(p.data) for p in watch.own.values()):
            culprits = [f"its {name} holds {bad}" for name, p in watch.own.items() if (bad := not_finite(p.data))]
            advice = "start from new weights, with a lower learning rate" if culprits else "scale down what it is given"
            place = f"{watch.title}, in forward"
            return place, f"the first values that are not finite appear in {place}: {'; '.join([*culprits, advice])}"
    for watch in trial.returned:
        if not_finite(watch.dx) or any(not_finite(p.grad) for p in watch.own.values()):
            place = f"{watch.title}, in backward"
            return place, (
                f"the first values that are not finite appear in {place}, though all are in forward; look there for a "
                "division by zero, a root or a logarithm of 0, or scale down the weights of the layers after it"
            )
    return None if math.isfinite(loss) else ("the loss", "the loss is not finite, though all that its layers give is")


def loss_of_equal_scores(model: Layer, trial: Observation) -> float | None:
    """What the loss would be if all scores that a loss layer is given were 0; None where that can't be told."""
    for watch in reversed(trial.called):
        if isinstance(watch.y, (float, np.floating)) and is_real(watch.x):
            scores, *rest = watch.inputs
            loss = copy.deepcopy(model.walk(Layer)[watch.name]).train()
            try:
                return float(trial.rewinding(partial(loss.forward, np.zeros(scores.shape), *rest, **watch.options)))
            except ValueError:  # it expects probabilities, say
                return None
    return None


def is_real(value: Any) -> bool:
    """Whether a value is an array of floating numbers with entries."""
    return isinstance(value, Array) and value.dtype.kind == "f" and value.size > 0


def not_finite(value: Any) -> str:
    """How many entries are not finite and where the first is; "" for none."""
    array = np.asarray(value) if isinstance(value, (Array, float)) else np.zeros(())
    bad = np.argwhere(~np.isfinite(array)) if array.dtype.kind == "f" else np.zeros((0, 0))
    place = f", the first at {tuple(bad[0].tolist())}" if bad.size else ""
    return f"{len(bad)} of {array.size} values that are not finite{place}" if len(bad) else ""


def rms(array: Array) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


def norm(array: Array) -> float:
    """The Euclidean norm of all entries, also where their squares overflow."""
    return float(np.linalg.norm(array.astype(np.float64).reshape(-1)))


# Where the slopes of the two sides differ, at the kinks of ReLU or of max, any gradient between them is right. The sum
# over many of those does not show what lies between, so the gradient is then looked at a little beside the place.
def _fits(
    trial: Observation, owner: Watch | Parameter, moved: str, like: Array, gradient: str, beside: bool = False
) -> bool:
    """Whether a gradient foretells how the loss changes when what an attribute holds moves in a random direction."""
    here, rng = getattr(owner, moved), generator(0)
    direction, aside = (rng.normal(size=like.shape) * (rms(like) or 1.0) for _ in range(2))
    losses = []
    for move in (-STEP * direction, 0 * direction, STEP * direction):
        setattr(owner, moved, move if here is None else here + move)
        losses.append(trial.forward())
    setattr(owner, moved, here)
    left, right = np.diff(losses) / STEP
    taken, given = (left + right) / 2, float((getattr(owner, gradient) * direction).sum())
    rounding = 10 * float(np.finfo(np.float64).eps) * abs(losses[1]) / STEP
    allowed = TOLERANCE * max(abs(taken), abs(given)) + rounding
    if abs(taken - given) <= allowed or beside or abs(left - right) <= allowed:
        return bool(abs(taken - given) <= allowed)
    setattr(owner, moved, BESIDE * aside if here is None else here + BESIDE * aside)
    trial.forward()
    trial.backward()
    fits = _fits(trial, owner, moved, like, gradient, beside=True)
    setattr(owner, moved, here)
    trial.forward()
    trial.backward()
    return fits
