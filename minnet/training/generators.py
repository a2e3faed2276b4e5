"""The random generators of a training run: those that are reachable from its model, optimizer and data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..layer import Layer, Parameter

UNSUPPORTED = {"random.Random", "numpy.random.mtrand.RandomState"}
LEAVES = (bool, int, float, str, bytes, np.ndarray, np.generic, Parameter, type, ModuleType, type(None))  # hold none

States = dict[str, Any]  # by name: numbers, texts, lists and dicts


class Generators:
    """All generators that are reachable from some values, by name and each once.

    roots: the values by name. One that is reachable in several ways has the first of its names.
    """

    def __init__(self, **roots: Any) -> None:
        self.by_name: dict[str, np.random.Generator] = {}
        known: set[int] = set()
        for root, value in roots.items():
            for name, rng in generators(value, root):
                if id(rng) not in known:
                    self.by_name[name] = rng
                known.add(id(rng))

    def states(self) -> States:
        """The states of all."""
        return {name: _plain(rng.bit_generator.state) for name, rng in self.by_name.items()}

    def set_states(self, states: States) -> None:
        """Set all. Raises KeyError, TypeError or ValueError for states that are none of theirs."""
        for name, rng in self.by_name.items():
            rng.bit_generator.state = states[name]


def generators(value: Any, name: str) -> Iterator[tuple[str, np.random.Generator]]:
    """(name, generator) for each that is reachable from a value, through its members and theirs.

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
        elif _is_unsupported(value):
            raise TypeError(
                f"fit: expected {name} to be a numpy.random.Generator, whose state a checkpoint holds, got a "
                f"{type(value).__name__}"
            )
        else:
            found = [(f"{name}.{key}", member) for key, member in _members(value) if not isinstance(member, LEAVES)]
            waiting += reversed(found)


def _members(value: Any) -> Iterable[tuple[Any, Any]]:
    """The members of a value by name: attributes, items, the object of a method, and what a function refers to."""
    if isinstance(value, Layer):
        return value.members()
    if type(value) in (list, tuple):  # to iterate over another sequence may use it up, or load it
        return enumerate(value)
    if type(value) is dict:
        return value.items()
    if isinstance(value, MethodType):
        return [("self", value.__self__)]
    if isinstance(value, partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, FunctionType):
        defaults = [("defaults", value.__defaults__), ("keyword defaults", value.__kwdefaults__)]
        return [*_closure(value), *defaults, *vars(value).items(), *_globals(value)]
    return getattr(value, "__dict__", {}).items()


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables of a function's closure, by name, without those that have no value yet."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with suppress(ValueError):
            yield name, cell.cell_contents


def _globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The generators among the global variables that a function names, or one that is defined in it."""
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, np.random.Generator) or _is_unsupported(value):
            yield name, value


def _names(code: CodeType) -> list[str]:
    """The names in a function, and in the functions, lambdas and comprehensions that are defined in it."""
    inner = [name for held in code.co_consts if isinstance(held, CodeType) for name in _names(held)]
    return [*code.co_names, *inner]


def _is_unsupported(value: Any) -> bool:
    """Whether it is a generator whose state a checkpoint doesn't hold."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in UNSUPPORTED for kind in type(value).__mro__)


def _plain(state: Any) -> Any:
    """A generator's state without arrays."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
