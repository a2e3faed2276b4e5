"""What the figures of one pass say: sentences on samples, sizes, dead units, gradients, the learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..layer import Parameter
from ..parts import named_parts
from .arrays import is_float_array, norm, rms
from .diagnosis import relative_gradients
from .observation import Watch, is_trained

LARGE = 10.0  # a root mean square, or its growth from a layer's input to its output; about 1 is normal
VANISHED = 1e-3  # of the norm of a gradient, from the last layer to the first; it has exploded above 1 / VANISHED
FADED = 1 / 30  # of that norm too, in a model that learns slowly
HIGH_LOSS = 1.5  # times the loss of a guess
TOO_SMALL, RIGHT, TOO_LARGE = 1e-6, 1e-2, 0.3  # change of a parameter by one step, relative to its size
NAMED = 3  # of the layers that are frozen
ADVICE = "he_normal weights, normalize between the layers, or take fewer"  # against a gradient that vanishes


def about_sameness(x: Any) -> Iterator[str]:
    """Samples that are all the same."""
    first, *rest = named_parts(x).values()
    if len(first) > 1 and all((part == part[:1]).all() for part in (first, *rest)):
        values = f", all {first.flat[0]:g}" if not rest and first.size and (first == first.flat[0]).all() else ""
        yield (
            f"all {len(first)} samples of x are the same{values}: nothing tells them apart, so one answer for all is "
            "what can be learned; look at how x is loaded and scaled"
        )


def about_sizes(called: list[Watch], x: Any, loss: float, chance: tuple[str, float] | None) -> Iterator[str]:
    """Inputs, activations and an initial loss that are too large."""
    causes = []
    for name, part in named_parts(x).items():
        if is_float_array(part) and rms(part) > LARGE:
            causes.append(name)
            yield f"the size of {name} is {rms(part):.3g} (root mean square), 1 would be right; scale or standardize it"
    for watch in called:
        before, after = (rms(array) if is_float_array(array) else 1.0 for array in (watch.x, watch.y))
        if after > LARGE * max(before, 1.0):
            causes.append(watch.title)
            yield (
                f"{watch.title} makes values of size {after:.3g} of values of size {before:.3g} (root mean square); "
                + ("scale its initial weights or biases down, or use he_normal" if watch.own else "look at its forward")
            )
    if chance and loss > HIGH_LOSS * chance[1]:
        trained = [watch.title for watch in called if watch.own and is_float_array(watch.y)]
        yield (
            f"the initial loss is {loss:.3g}, {chance[0]} would be {chance[1]:.3g}: the first scores are too large; "
            + (f"see {causes[0]} above" if causes else f"scale down the initial weights of {(trained or ['x'])[-1]}")
        )


def about_dead_units(dead: dict[str, float]) -> Iterator[str]:
    """Layers of which too large a fraction of the units is dead."""
    for name, fraction in dead.items():
        yield (
            f"{name}: {fraction:.0%} of its units are dead, 0 for every sample; look at the sign and size of weights "
            "and biases before it, lower the learning rate if it has been trained, or try LeakyReLU"
        )


def about_gradients(called: list[Watch], dead: dict[str, float], slow: bool) -> Iterator[str]:
    """A gradient that vanishes or explodes on its way to the first parameters, unless it is lost in dead units.

    slow: whether training has shown that little is learned; a gradient that has faded has then vanished too.
    """
    reached = [watch for watch in called if is_float_array(watch.y) and is_float_array(watch.dy)]
    path = reached[next((i for i, w in enumerate(reached) if trained(w)), len(reached)) :]
    gains = [
        (norm(watch.dx) / norm(watch.dy), watch.title, is_float_array(watch.x) and not watch.x.any())
        for watch in path[1:]
        if is_float_array(watch.dx) and watch.dy.any()
    ]
    if not gains:
        return
    first, last = norm(path[0].dy), norm(path[-1].dy)
    sizes = f"its norm is {last:.2g} at {path[-1].title} and {first:.2g} at {path[0].title}"
    gain, title, zero_input = min(gains)
    if first < (FADED if slow else VANISHED) * last and title not in dead:
        activation = "" if any("ReLU(" in watch.title for watch in called) else "ReLU and "
        yield (
            f"the gradient vanishes on its way back: {sizes}; most is lost in {title}, which passes {gain:.2g} of it; "
            + ("it is given nothing but 0: start from random weights" if zero_input else f"use {activation}{ADVICE}")
        )
    gain, title, _ = max(gains)
    if first > last / VANISHED:
        yield (
            f"the gradient explodes on its way back: {sizes}; most is added in {title}, which passes {gain:.2g} times "
            "as much; scale initial weights down, or set clip_norm"
        )


def about_updates(called: list[Watch], lr: float, learned: bool) -> Iterator[str]:
    """A learning rate that is far off, judged by parameters with weight decay."""
    ratios = {}
    for watch in called:
        for name, ratio in relative_gradients(watch).items():
            if ratio and watch.own[name].decay:
                ratios[f"{name} of {watch.title}"] = ratio
    if not ratios:
        return
    name = max(ratios, key=lambda name: ratios[name])
    change, better = lr * ratios[name], f"a learning rate of about {RIGHT / ratios[name]:.0e}"
    if change > TOO_LARGE:
        yield f"a step with lr = {lr:g} changes {name} by {change:.2g} of its size, the most of all; try {better}"
    elif change < TOO_SMALL and not learned:
        yield f"a step with lr = {lr:g} changes {name} by only {change:.1g} of its size, the most of all; try {better}"


def about_no_training(parameters: list[Parameter]) -> list[str]:
    """A model in which nothing is trained."""
    if not parameters:
        return ["the model has no parameters, there is nothing to train"]
    if not any(map(is_trained, parameters)):
        return [f"all {count(parameters):,} parameters are frozen: nothing to train; unfreeze() what should learn"]
    return []


def frozen_part(watches: list[Watch]) -> str | None:
    """How many parameters are frozen and where, None if none is."""
    own = {watch: list(watch.own.values()) for watch in watches}
    frozen = {watch: [p for p in theirs if not is_trained(p)] for watch, theirs in own.items()}
    titles = [watch.title for watch, theirs in frozen.items() if theirs]
    if not titles:
        return None
    part, whole = (count([p for theirs in some.values() for p in theirs]) for some in (frozen, own))
    more = f" and {len(titles) - NAMED} more" if len(titles) > NAMED else ""
    return f"{part:,} of {whole:,} parameters are frozen, in {', '.join(titles[:NAMED])}{more}"


def count(parameters: Iterable[Parameter]) -> int:
    """How many numbers there are in parameters, each of which counts once."""
    return sum(p.data.size for p in dict.fromkeys(parameters))


def trained(watch: Watch) -> bool:
    """Whether a layer has a parameter of its own that is trained."""
    return any(map(is_trained, watch.own.values()))
