"""One backward a call: a cache is of the last call only.

Of two calls before backward, such as those of a shared encoder, the second backward would silently work from the wrong
cache. So calls and backwards are counted where somebody calls a layer; containers call each of theirs once. Of
containers that hold the same layers, each keeps which caches its call has left.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import update_wrapper
from typing import Any

from .naming import one_line
from .tree import Node

ANSWERED = -1  # in place of a count of calls: backward has answered the last of several


class OneBackward:
    """The backward of a layer that was called: it raises where it can't tell which call it is the answer to.

    It stands in the layer's attributes, so that backward costs no more in a container.
    """

    def __init__(self, layer: Node) -> None:
        self.layer, self.calls = weakref.ref(layer), 1
        self.answered: Any = None  # the cache that backward worked from, after several calls
        update_wrapper(self, type(layer).backward)  # type: ignore[attr-defined]

    def __call__(self, *gradients: Any, **options: Any) -> Any:
        layer: Any = self.layer()
        if layer is None:
            raise ReferenceError(f"{self.__qualname__}: its layer is gone; keep the layer, and call its backward")  # type: ignore[attr-defined]
        cache = vars(layer).get("cache")
        if self.calls == ANSWERED and cache is self.answered:  # it is another where somebody kept those of all calls
            raise called_twice(layer)
        dx = type(layer).backward(layer, *gradients, **options)
        if self.calls in (0, 1):
            self.calls = 0
        else:
            self.calls, self.answered = ANSWERED, cache
        if layer.frozen:
            drop_frozen_gradients(layer)
        return dx


def count_call(layer: Node) -> None:
    """Count a call whose cache has taken the place of the one before."""
    guard = vars(layer).get("backward")
    if guard is None:
        vars(layer)["backward"] = OneBackward(layer)
    elif type(guard) is OneBackward:
        guard.calls, guard.answered = max(guard.calls, 0) + 1, None


def forget_calls(attributes: dict[str, Any]) -> None:
    """Drop the count of calls from a layer's attributes."""
    attributes.pop("_calls", None)
    attributes.pop("_caches", None)
    attributes.pop("_inside", None)
    if type(attributes.get("backward")) is OneBackward:
        del attributes["backward"]


def drop_frozen_gradients(layer: Any) -> None:
    """Drop what backward has added in a frozen layer, but for parts of it that were unfrozen again."""
    for parameter in layer.parameters():
        if parameter.frozen:
            parameter.zero_grad()


def called_twice(layer: Node) -> RuntimeError:
    """The error of a second backward after two calls."""
    return RuntimeError(
        f"{one_line(layer)}: was called twice before backward, but its cache is of the last call only, so a second "
        "backward has none to work from; give all inputs as one batch (np.concatenate) and split y, or use a second "
        "layer that shares the parameters; for a look at y in between, use predict, or forget it by clear_cache()"
    )


def hold(container: Any, layers: Sequence[Node]) -> None:
    """Note that a container holds these layers. It and the last one that held some of them, if it is there, share."""
    for layer in layers:
        own = vars(layer)
        if "_holder" in own and (other := own["_holder"]()) is not None:
            container._shares = other._shares = True
        own["_holder"] = weakref.ref(container)


def keep_caches(container: Any, layers: Sequence[Node]) -> None:
    """Keep which caches a call of a container that shares has left in its layers."""
    container._caches = [vars(layer).get("cache") for layer in layers]


def expect_own_call(container: Any, layers: Sequence[Node]) -> None:
    """Raises RuntimeError if backward can't tell a container's call, or a layer was called by another one since."""
    if vars(container).get("_calls") == ANSWERED:
        raise called_twice(container)
    for layer, cache in zip(layers, vars(container).get("_caches", ())):
        if vars(layer).get("cache") is not cache:
            raise RuntimeError(
                f"{one_line(container)}: its {one_line(layer)} is in another container too and was called since, but a "
                "cache is of the last call only; call backward before the other container, or predict where no "
                "gradient is wanted"
            )
