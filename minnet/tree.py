"""A model is a tree: layers hold parameters, buffers, generators and further layers, in attributes and containers."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, MappingView, Sequence, Set
from itertools import chain
from types import ModuleType
from typing import Any

import numpy as np

DATA = {bool, int, float, complex, str, bytes, type(None)}  # which hold nothing
MANY = 32


class Node:
    """What walk looks for, besides random generators: a Parameter, a Buffer, or a Layer with members of its own."""

    def members(self) -> Iterable[tuple[Any, Any]]:
        """(name, value) of whatever may hold further nodes."""
        return ()


def walk(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """(name, object) for each parameter, buffer, generator and layer in value, the outer before the inner."""
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, (Node, np.random.Generator)):
        if id(value) in seen:
            return
        seen.add(id(value))
        yield name, value
        if isinstance(value, Node):
            members = value.members()
    elif isinstance(value, dict) and not _holds_state(list(value), depth=2):
        members = () if is_long_data(value.values()) else value.items()
    elif isinstance(value, (list, tuple)):
        members = () if is_long_data(value) else enumerate(value)
    elif _holds_state(value, depth=4):
        raise TypeError(
            f"{name} is a {type(value).__name__} with parameters in it, where they are not found; use a list or a dict"
        )
    for key, member in members:
        if type(member) not in DATA:
            yield from walk(member, f"{name}.{key}" if name else str(key), seen)


# A vocabulary of 50,000 words takes 0.6 ms this way; to visit each takes 31.
def is_long_data(values: Collection[Any]) -> bool:
    """Whether there are many values, all of them numbers and text, or lists and tuples of these."""
    if len(values) <= MANY:
        return False
    kinds = set(map(type, values))
    return kinds <= DATA or (kinds <= {list, tuple} and set(map(type, chain.from_iterable(values))) <= DATA)


def _holds_state(value: Any, depth: int) -> bool:
    """Whether a value that walk does not search holds parameters, buffers or layers, at most `depth` levels down."""
    if isinstance(value, Node):
        return True
    if depth == 0 or value is None or isinstance(value, (bool, int, float, str, bytes, range, type, ModuleType)):
        return False
    inner: Any = ()
    if isinstance(value, np.ndarray):
        inner = value.flat if value.dtype == object else ()
    elif isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, (Set, Sequence, MappingView, deque)):
        inner = value
    else:
        slots = (getattr(value, name, None) for name in getattr(type(value), "__slots__", ()))
        inner = [*getattr(value, "__dict__", {}).values(), *slots]
    return not is_long_data(inner) and any(_holds_state(item, depth - 1) for item in inner)
