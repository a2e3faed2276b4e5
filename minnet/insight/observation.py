"""What passes through each layer of a copied model: the record behind summary, diagnose, and the errors of fit."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import writable
from ..calls import forget_calls
from ..layer import Layer, Parameter
from ..naming import add_location, one_line, shapes
from ..parts import named_parts
from ..random import generator
from .arrays import not_finite


class Watch:
    """Wraps forward and backward of one layer of a copied model, and keeps the arrays of the last call of each.

    inputs, options, y: of forward.  gradients, dy, dx: of backward, dy the first of the gradients.
    calls, returns: how many forwards have ended in a pass, and how many backwards have begun.
    caller: the watch of the layer that called this one last; None for the outermost.
    held: None, or what forward gives in the place of y; the layer's own forward is not called then.
    """

    def __init__(self, name: str, layer: Layer) -> None:
        self.name, self.layer = name, layer
        self.title = f"layer {name}, {one_line(layer)}" if name else one_line(layer)
        self.forward, self.backward = layer.forward, layer.backward
        self.inputs: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}
        self.gradients: tuple[Any, ...] = ()
        self.backward_options: dict[str, Any] = {}
        self.y: Any = None
        self.dx: Any = None
        self.calls = self.returns = 0
        self.caller: Watch | None = None
        self.held: Any = None

    @cached_property
    def own(self) -> dict[str, Parameter]:
        """The layer's parameters by name, without those of layers inside it."""
        return own_parameters(self.layer)

    @cached_property
    def is_innermost(self) -> bool:
        """Whether there is no layer inside."""
        return len(self.layer.walk(Layer)) == 1

    @property
    def x(self) -> Any:
        """The first of the inputs."""
        return self.inputs[0] if self.inputs else None

    @property
    def dy(self) -> Any:
        """The first of the gradients."""
        return self.gradients[0] if self.gradients else None

    def wrap(self, called: list[Watch], returned: list[Watch], active: list[tuple[Watch, str]]) -> None:
        """Wrap the layer: each forward then adds this watch to `called`, each backward to `returned`.

        active: the watches whose forward or backward is running, with which of the two, the innermost last.
        Containers and __call__ look forward and backward up in the instance, where these come first.
        """

        def watched_forward(*inputs: Any, **options: Any) -> Any:
            depth, self.caller = len(active), active[-1][0] if active else None
            self.inputs, self.options = _by_position(self.forward, inputs, options)
            if self.held is None:
                active.append((self, "forward"))
                self.y = self.forward(*inputs, **options)
                del active[depth:]
                forget_calls(vars(self.layer))  # they are counted here, and a second backward shall run
            else:
                self.y = copied(self.held)  # a careless layer may write into what it is given
            self.calls += 1
            called.append(self)
            return self.y

        def watched_backward(*gradients: Any, **options: Any) -> Any:
            given, self.backward_options = _by_position(self.backward, gradients, options)
            self.gradients = copied(given)  # a careless layer may write into them
            self.returns += 1
            depth = len(active)
            active.append((self, "backward"))
            dx = self.backward(*gradients, **options)
            del active[depth:]
            self.dx = copied(dx)
            returned.append(self)
            return dx

        vars(self.layer).update(forward=watched_forward, backward=watched_backward)


def _by_position(
    method: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and options of a call, with an x or dy that was given by name among the arguments."""
    if not options:
        return arguments, options
    bound = inspect.signature(method).bind(*arguments, **options)
    return bound.args, bound.kwargs


def copied(value: Any) -> Any:
    """Copies of the arrays in a value, which may be a tuple of them; of an array without axes, a number."""
    if isinstance(value, tuple):
        return tuple(map(copied, value))
    return value.copy()[()] if isinstance(value, Array) else value


def watch_layers(layers: dict[str, Layer]) -> tuple[list[Watch], list[Watch]]:
    """Watch these layers of a copied model, named as walk names them.

    Returns two lists: at any time, the watches in the order in which forwards have ended, and backwards.
    """
    called: list[Watch] = []
    returned: list[Watch] = []
    for name, layer in layers.items():
        Watch(name, layer).wrap(called, returned, [])
    return called, returned


def is_trained(parameter: Parameter) -> bool:
    """Whether an optimizer changes it."""
    return not getattr(parameter, "frozen", False)


def own_parameters(layer: Layer) -> dict[str, Parameter]:
    """A layer's parameters by name, without those of layers inside it."""
    inside = [inner for inner in layer.walk(Layer).values() if inner is not layer]
    theirs = {id(p) for inner in inside for p in inner.parameters()}
    return {name: p for name, p in layer.named_parameters().items() if id(p) not in theirs}


class Observation:
    """A copy of a model in training mode, with a batch: x, y and maybe sample weights.

    Every pass starts from the same random state; the generators are reset after it, the package's too.

    original: the model itself.  watches: of all layers of the copy.
    forwards, backwards: the watches in the order in which the forwards and backwards of the last pass ended.
    called, returned: of these, the layers that have parameters of their own or no layers inside.
    """

    def __init__(self, model: Layer, x: Any, y: Array, *weights: Array) -> None:
        self.original, self.model = model, copy.deepcopy(model).train()
        self.x, self.y, self.weights = x, y, weights
        self.parameters = self.model.parameters()
        for p in self.parameters:  # `p.grad = p.grad + 1` makes a NumPy scalar of a 0-d array
            p.data, p.grad = (writable(array) for array in (p.data, p.grad))
        generators = [*self.model.walk(np.random.Generator).values(), generator()]
        self.states = [(rng, rng.bit_generator.state) for rng in generators]
        self.watches = [Watch(name, layer) for name, layer in self.model.walk(Layer).items()]
        self.forwards: list[Watch] = []
        self.backwards: list[Watch] = []
        self.active: list[tuple[Watch, str]] = []
        for watch in self.watches:
            watch.wrap(self.forwards, self.backwards, self.active)

    @property
    def called(self) -> list[Watch]:
        """Whose forwards have ended, without layers that are only made of others."""
        return [watch for watch in self.forwards if watch.own or watch.is_innermost]

    @property
    def returned(self) -> list[Watch]:
        """Whose backwards have ended, without layers that are only made of others."""
        return [watch for watch in self.backwards if watch.own or watch.is_innermost]

    def forward(self) -> float:
        """The loss. Raises TypeError if model(x, y) is none."""
        self.forwards.clear()
        for watch in self.watches:
            watch.calls = 0
        loss = self.call_and_reset(partial(self.model, self.x, self.y, *self.weights))
        if not isinstance(loss, (float, np.floating)):
            raise TypeError(
                f"{one_line(self.model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}"
            )
        return float(loss)

    def backward(self) -> None:
        """Compute the gradients of the last forward; earlier ones are cleared."""
        self.backwards.clear()
        for watch in self.watches:
            watch.returns = 0
        self.clear_gradients()
        self.call_and_reset(self.model.backward)

    def clear_gradients(self) -> None:
        """Set all gradients to zero."""
        for p in self.parameters:
            p.grad = np.zeros_like(p.data)

    def call_and_reset(self, function: Callable[[], Any]) -> Any:
        """Call a function, and reset all generators, whatever it does. Returns its result.

        What it raises names the layer in which that was.
        """
        self.active.clear()
        try:
            return function()
        except Exception as error:
            if self.active:
                _locate(error, *self.active[-1])
            raise
        finally:
            for rng, state in self.states:
                rng.bit_generator.state = state


def _locate(error: Exception, watch: Watch, method: str) -> None:
    """Prefix an error's message with the layer in whose forward or backward it was, unless it names that."""
    if one_line(watch.layer) not in str(error):
        given = shapes(*(watch.inputs if method == "forward" else watch.gradients))
        add_location(error, watch.layer, f"{watch.title}, in {method}{given and f' given {given}'}")


def first_not_finite(observation: Observation, loss: float) -> tuple[str, str] | None:
    """Where the first value that is not finite appears, and a sentence about it; None if there is none."""
    for name, array in {**named_parts(observation.x), "y": observation.y}.items():
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
