"""What containers have in common: which layers they take, and how they call them."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

from numpy import ndarray as Array

from ..calls import drop_frozen_gradients
from ..layer import Layer
from ..naming import one_line
from .lengths import loss_arguments


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


def forward_within(layer: Layer, x: Any, lengths: Array, extra: tuple[Any, ...] = ()) -> tuple[Any, Array | None]:
    """What a layer gives for sequences of these lengths, and their lengths; None where y has no steps any more.

    extra: what a loss is given after x.
    """
    if takes_lengths(layer):
        y = layer.forward(x, *extra, lengths=lengths)
    elif extra:
        y = layer.forward(x, *loss_arguments(*extra, lengths=lengths, steps=x.shape[1]))
    else:
        y = layer.forward(x)
    return y, None if layer.joins_steps else lengths


def step(layer: Layer, x: Any, state: Any) -> tuple[Any, Any]:
    """One step of a layer, which has a step of its own or acts on each by itself: y and the state. It keeps its cache.

    Raises TypeError for a layer that does neither.
    """
    if hasattr(layer, "step"):
        return layer.step(x, state)
    if not layer.stepwise:
        raise TypeError(
            f"{layer!r}: has no step(x_t, state=None), and looks at several steps; if y depends on x at each step "
            "alone, set stepwise = True in its class"
        )
    own = vars(layer)
    kept = [own["cache"]] if "cache" in own else []
    try:
        return layer.forward(x), None
    finally:
        own.pop("cache", None)
        if kept:
            own["cache"] = kept[0]
