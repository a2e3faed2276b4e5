"""The first step of an optimizer: what would be a silent mistake is told there, and later steps pay nothing for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray as Array

Update = Callable[..., Any]

# What the gradients of an optimizer start from where it drops some that had added up before it was made. Whatever a
# backward adds, zeros too, makes another zero or number of it.
DROPPED = -0.0


class FirstStep:
    """What is checked in a first step."""

    over = False

    def begin(self, owner: str, g: Array) -> None:
        """Raises ValueError if gradients were dropped and no backward has run since."""
        self.moved, self.stuck = False, False
        if g.size and not g.any() and np.signbit(g).all():
            raise ValueError(
                f"{owner}: backward ran before the optimizer was made, and the gradient from then was dropped; call "
                "forward and backward again, then step"
            )

    def update(self, optimizer: Any, w: Array, g: Array, lr: float, *moments: Array) -> None:
        """Call the update of an optimizer. Raises TypeError if it returns something or keeps arrays by itself."""
        own = {id(array): (array, array.copy()) for _, array in _arrays(optimizer, w.size)}
        w_before, g_before = w.copy(), g.copy()
        if optimizer.update(w, g, lr, *moments) is not None:
            raise TypeError(
                f"{optimizer.name}: update returned something, which nobody uses; change w in place: w -= ... or "
                "w[...] = ..."
            )
        for name, array in _arrays(optimizer, w.size):
            if id(array) not in own or not np.array_equal(*own[id(array)], equal_nan=True):
                raise TypeError(
                    f"{optimizer.name}: update keeps an array in self.{name}, which is no part of the state, and mixes "
                    "up parameters where update is called for one part of them after the other; write "
                    f'self.add_moments("{name}") in __init__, and update gets the array after lr'
                )
        if not np.array_equal(w, w_before):
            self.moved = True
        elif g.any() and np.array_equal(g, g_before) and not self.stuck:
            self.stuck = _leaves_alone(optimizer.update, g_before, moments)

    def end(self, owner: str) -> None:
        """Raises ValueError if update left all of w as it was, although there is a gradient, and the gradient too."""
        if self.stuck and not self.moved:
            raise ValueError(
                f"{owner}: update left w as it was, although the gradient is not zero; change w in place: w -= ... or "
                "w[...] = ..., since w = ... is another array"
            )
        self.over = True


def check_step(optimizer: Any) -> None:
    """What fit asks after its first step, for the sake of a step of one's own.

    Raises RuntimeError if it left gradients, or a schedule at its first rate.
    """
    optimizer.gather()
    if any(p.grad.any() for p in optimizer.parameters):
        raise RuntimeError(
            f"{optimizer.name}: step left gradients, to which the next backward adds; end it with self.zero_grad()"
        )
    if callable(optimizer.lr) and not optimizer.steps:
        raise RuntimeError(
            f"{optimizer.name}: step counted no step, so its schedule stands still; end it with self.steps += 1"
        )


def _leaves_alone(update: Update, g: Array, moments: tuple[Array, ...]) -> bool:
    """Whether an update leaves w alone even where it can't be lost in rounding, and where moments are not zero.

    It works on copies, with w = 0 and lr = 1.
    """
    w = np.zeros_like(g)
    with np.errstate(all="ignore"):
        update(w, g, 1.0, *(moment.copy() for moment in moments))
    return not w.any()


def _arrays(optimizer: Any, size: int) -> Iterator[tuple[str, Array]]:
    """(name, array) for each floating array of a size in an author's attributes, or in a list, tuple or dict there."""
    for name, value in vars(optimizer).items():
        if name not in ("moments", "_w", "_g", "_views"):
            yield from ((name, array) for array in _inside(value) if array.size == size and array.dtype.kind == "f")


def _inside(value: Any) -> Iterator[Array]:
    if isinstance(value, Array):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _inside(member)
