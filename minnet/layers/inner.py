"""What containers have in common: which layers they take, and how they call them."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

from numpy import ndarray as Array

from ..calls import drop_frozen_gradients
from ..layer import Layer, thread
from ..naming import one_line
from .lengths import is_step, of_steps


def distinct(owner: str, layers: tuple[Any, ...]) -> tuple[Layer, ...]:
    """The layers, after checking that each is a Layer and that no layer object is in two places."""
    places: dict[int, int] = {}
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            advice = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"{owner}: layer {i} is {layer!r}, expected a Layer{advice}")
        for inner in layer.walk(Layer).values():
            if places.setdefault(id(inner), i) != i:
                raise ValueError(
                    f"{owner}: {one_line(inner)} is in layer {places[id(inner)]} and in layer {i}, but has one cache; "
                    "make a second layer, and share the Parameter to share weights (decoder.W = encoder.W)"
                )
    return layers


def is_trained(layer: Layer) -> bool:
    """Whether a layer has parameters, here or below, that are not frozen; in a frozen one, a part may be unfrozen."""
    return any(not parameter.frozen for parameter in layer.parameters())


def call_backward(layer: Layer, dy: Any, input_gradient: bool) -> Any:
    """layer.backward(dy), after telling the layer whether its dx will be used."""
    if getattr(layer, "takes_input_gradient", False):
        dx = layer.backward(dy, input_gradient)
    elif input_gradient:
        dx = layer.backward(dy)
    else:
        layer.input_gradient = False
        try:
            dx = layer.backward(dy)
        finally:
            del layer.input_gradient
    if layer.frozen:
        drop_frozen_gradients(layer)
    return dx


def takes_lengths(layer: Layer) -> bool:
    """Whether a layer's forward has an argument lengths."""
    return _takes_lengths(type(layer))  # type: ignore[arg-type]


@lru_cache(maxsize=128)
def _takes_lengths(kind: Any) -> bool:
    return "lengths" in inspect.signature(kind.forward).parameters


def expect_no_mixing(layer: Layer) -> None:
    """Raises ValueError for a layer that would take the padding of sequences for a part of them."""
    if not (layer.stepwise or takes_lengths(layer)):
        raise ValueError(
            f"{one_line(layer)}: would mix the padding of sequences in: its forward takes no lengths, nor does it say "
            "that it acts on each step alone; for a layer of your own that does, set stepwise = True in its class"
        )


def forward_within(
    layer: Layer, x: Any, lengths: Array, target: tuple[Any, ...] = ()
) -> tuple[Any, Array | None, Array | None]:
    """What a layer gives for sequences of these lengths, their lengths, and which steps it was given if not all.

    target: what a loss is given after x; a loss that takes no lengths is given the steps of the sequences alone.
    There are no lengths any more where y has no steps. Raises ValueError for a layer that mixes the padding in, and for
    one that gives other steps than x has.
    """
    expect_no_mixing(layer)
    if target and not takes_lengths(layer):
        inside = is_step(lengths, x.shape[1])
        return layer.forward(*of_steps(layer, inside, x, *target)), None, inside
    y = layer.forward(x, *target, lengths=lengths) if takes_lengths(layer) else layer.forward(x)
    if layer.joins_steps or target:
        return y, None, None
    if y.shape[:2] != x.shape[:2] or y.ndim < min(3, x.ndim):
        raise ValueError(
            f"{one_line(layer)}: expected y of as many steps as x {x.shape}, got {y.shape}; in a layer that joins the "
            "steps, set joins_steps = True"
        )
    return y, lengths, None


def states_of(container: Layer, state: Any, count: int) -> list[Any]:
    """The states of so many layers, from that of their container. Raises ValueError for one of another number."""
    states = [None] * count if state is None else list(state)
    if len(states) != count:
        raise ValueError(
            f"{one_line(container)}: expected a state that its step has returned, got one of {len(states)}"
        )
    return states


def step(layer: Layer, x: Any, state: Any) -> tuple[Any, Any]:
    """One step of a layer, which has a step of its own or acts on each by itself: y and the state.

    It is in evaluation mode, and keeps the layer's cache. Raises TypeError for a layer that does neither.
    """
    own = vars(layer)
    kept = [own["cache"]] if "cache" in own else []
    evaluating, thread.evaluating = thread.evaluating, True
    try:
        if hasattr(layer, "step"):
            return layer.step(x, state)
        if not layer.stepwise:
            raise TypeError(
                f"{layer!r}: has no step(x_t, state=None), and looks at several steps; if y depends on x at each step "
                "alone, set stepwise = True in its class"
            )
        return layer.forward(x), None
    finally:
        thread.evaluating = evaluating
        own.pop("cache", None)
        if kept:
            own["cache"] = kept[0]
