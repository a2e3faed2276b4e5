"""What a training run draws from: the generators that are found from its model, optimizer and data on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..layer import Layer, Parameter

OTHERS = {"random.Random", "numpy.random.mtrand.RandomState"}  # whose state no checkpoint holds
PLAIN = (bool, int, float, str, bytes, np.ndarray, np.generic, Parameter, type, ModuleType, type(None))  # hold none


def generators(value: Any, name: str) -> Iterator[tuple[str, np.random.Generator]]:
    """(name, generator) for each found from a value on, through its members and theirs.

    Raises TypeError for one of another kind.
    """
    seen: set[int] = set()
    waiting = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.random.Generator):
            yield name, value
        elif _is_other(value):
            raise TypeError(
                f"fit: expected {name} to be a numpy.random.Generator, whose state a checkpoint holds, got a "
                f"{type(value).__name__}"
            )
        else:
            found = [(f"{name}.{key}", member) for key, member in _members(value) if not isinstance(member, PLAIN)]
            waiting += reversed(found)


def enclosed(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function encloses, by name, but for what has no value yet."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with suppress(ValueError):
            yield name, cell.cell_contents


def _members(value: Any) -> Iterable[tuple[Any, Any]]:
    """What belongs to a value, by name: attributes, items, what a method is of, and what a function holds."""
    if isinstance(value, Layer):
        return value.members()
    if type(value) in (list, tuple):  # iterating over another sequence may count as a walk
        return enumerate(value)
    if type(value) is dict:
        return value.items()
    if isinstance(value, MethodType):
        return [("self", value.__self__)]
    if isinstance(value, partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, FunctionType):
        defaults = [("defaults", value.__defaults__), ("keyword defaults", value.__kwdefaults__)]
        named = [(name, value.__globals__.get(name)) for name in _names(value.__code__)]
        drawn = [item for item in named if isinstance(item[1], np.random.Generator) or _is_other(item[1])]
        return [*enclosed(value), *defaults, *vars(value).items(), *drawn]
    return getattr(value, "__dict__", {}).items()


def _names(code: CodeType) -> list[str]:
    """The names that code mentions, and the functions and comprehensions in it."""
    inner = [name for held in code.co_consts if isinstance(held, CodeType) for name in _names(held)]
    return [*code.co_names, *inner]


def _is_other(value: Any) -> bool:
    """Whether it is a generator whose state no checkpoint holds."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in OTHERS for kind in type(value).__mro__)
