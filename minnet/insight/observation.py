"""What passes through each layer of a copied model: the record behind summary, diagnose, and the errors of fit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer, Parameter, one_line
from ..random import generator
from .arrays import not_finite


class Watch:
    """Wraps forward and backward of one layer of a copied model, and keeps the arrays of the last call of each.

    inputs, options, y: of forward.  dy, dx: of backward.
    held: None, or an array that forward returns in the place of y.
    """

    def __init__(self, name: str, layer: Layer) -> None:
        self.name, self.layer = name, layer
        self.title = f"layer {name}, {one_line(layer)}" if name else one_line(layer)
        self.inputs: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}
        self.y: Any = None
        self.dy: Any = None
        self.dx: Any = None
        self.held: Array | None = None

    @cached_property
    def own(self) -> dict[str, Parameter]:
        """The layer's parameters by name, without those of layers inside it."""
        return own_parameters(self.layer)

    @property
    def x(self) -> Any:
        """The first of the inputs."""
        return self.inputs[0] if self.inputs else None

    def wrap(self, called: list[Watch], returned: list[Watch]) -> None:
        """Wrap the layer: each forward then adds this watch to `called`, each backward to `returned`."""
        forward, backward = self.layer.forward, self.layer.backward

        def watched_forward(*inputs: Any, **options: Any) -> Any:
            y = forward(*inputs, **options)
            self.inputs, self.options = inputs, options
            self.y = y if self.held is None else self.held.copy()  # a careless layer may write into what it is given
            called.append(self)
            return self.y

        def watched_backward(*gradients: Any, **options: Any) -> Any:
            self.dy = gradients[0] if gradients else None
            self.dx = backward(*gradients, **options)
            returned.append(self)
            return self.dx

        # Containers and __call__ look forward and backward up in the instance, where these come first.
        vars(self.layer).update(forward=watched_forward, backward=watched_backward)


def watch_layers(layers: dict[str, Layer]) -> tuple[list[Watch], list[Watch]]:
    """Watch these layers of a copied model, named as walk names them.

    Returns two lists: at any time, the watches in the order in which forwards have ended, and backwards.
    """
    called: list[Watch] = []
    returned: list[Watch] = []
    for name, layer in layers.items():
        Watch(name, layer).wrap(called, returned)
    return called, returned


def own_parameters(layer: Layer) -> dict[str, Parameter]:
    """A layer's parameters by name, without those of layers inside it."""
    inside = [inner for inner in layer.walk(Layer).values() if inner is not layer]
    theirs = {id(p) for inner in inside for p in inner.parameters()}
    return {name: p for name, p in layer.named_parameters().items() if id(p) not in theirs}


class Observation:
    """A copy of a model in training mode, with a batch: x, y and maybe sample weights.

    Every pass starts from the same random state; the generators are reset after it, the package's too.

    called, returned: the watches of all layers that have parameters of their own or no layers inside, in the order in
    which the forwards and backwards of the last pass ended.
    """

    def __init__(self, model: Layer, x: Array, y: Array, *weights: Array) -> None:
        self.model, self.x, self.y, self.weights = copy.deepcopy(model).train(), x, y, weights
        generators = [*self.model.walk(np.random.Generator).values(), generator()]
        self.states = [(rng, rng.bit_generator.state) for rng in generators]
        self.called, self.returned = watch_layers(
            {
                name: layer
                for name, layer in self.model.walk(Layer).items()
                if len(layer.walk(Layer)) == 1 or own_parameters(layer)
            }
        )

    def forward(self) -> float:
        """The loss. Raises TypeError if model(x, y) is none."""
        self.called.clear()
        loss = self.call_and_reset(partial(self.model, self.x, self.y, *self.weights))
        if not isinstance(loss, (float, np.floating)):
            raise TypeError(
                f"{one_line(self.model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}"
            )
        return float(loss)

    def backward(self) -> None:
        """Compute the gradients of the last forward; earlier ones are cleared."""
        self.returned.clear()
        self.model.zero_grad()
        self.call_and_reset(self.model.backward)

    def call_and_reset(self, function: Callable[[], Any]) -> Any:
        """Call a function, and reset all generators, whatever it does. Returns its result."""
        try:
            return function()
        finally:
            for rng, state in self.states:
                rng.bit_generator.state = state


def first_not_finite(observation: Observation, loss: float) -> tuple[str, str] | None:
    """Where the first value that is not finite appears, and a sentence about it; None if there is none."""
    for name, array in (("x", observation.x), ("y", observation.y)):
        if bad := not_finite(array):
            return name, f"{name} holds {bad}; clean the data, or leave such samples out"
    for watch in observation.called:
        if not_finite(watch.y) or any(not_finite(p.data) for p in watch.own.values()):
            culprits = [f"its {name} holds {bad}" for name, p in watch.own.items() if (bad := not_finite(p.data))]
            advice = "start from new weights, with a lower learning rate" if culprits else "scale down what it is given"
            place = f"{watch.title}, in forward"
            return place, f"the first values that are not finite appear in {place}: {'; '.join([*culprits, advice])}"
    for watch in observation.returned:
        if not_finite(watch.dx) or any(not_finite(p.grad) for p in watch.own.values()):
            place = f"{watch.title}, in backward"
            return place, (
                f"the first values that are not finite appear in {place}, though all are in forward; look there for a "
                "division by zero, a root or a logarithm of 0, or scale down the weights of the layers after it"
            )
    return None if math.isfinite(loss) else ("the loss", "the loss is not finite, though all that its layers give is")
