"""Data of several inputs: x may be a tuple of arrays, with a row for each sample in each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import ndarray as Array

from .arguments import sliceable


def is_several(x: Any) -> bool:
    """Whether x is a tuple of arrays, which is several inputs; a tuple of lists or numbers is rows of one."""
    return isinstance(x, tuple) and any(getattr(part, "shape", ()) for part in x)


def named_parts(x: Any, name: str = "x") -> dict[str, Any]:
    """The arrays of x by name: x itself, or x[0], x[1] and so on of a tuple."""
    return {f"{name}[{i}]": part for i, part in enumerate(x)} if isinstance(x, tuple) else {name: x}


def each_part(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of x, or of each array in a tuple."""
    return tuple(map(function, x)) if isinstance(x, tuple) else function(x)


def sliceable_parts(owner: str, x: Any) -> Any:
    """x, or each part of a tuple of arrays, as sliceable leaves it. Raises ValueError if rows differ in number."""
    if not is_several(x):
        array = sliceable(owner, "x", x)
        if not array.shape:
            raise ValueError(f"{owner}: expected x of shape (N, ...), got a single number")
        return array
    arrays = {name: sliceable(owner, name, part) for name, part in named_parts(x).items()}
    shapes = [array.shape for array in arrays.values()]
    if len({shape[:1] for shape in shapes}) > 1 or not all(shapes):
        got = " and ".join(map(str, shapes))
        raise ValueError(f"{owner}: expected {' and '.join(arrays)} with as many rows, got {got}")
    return tuple(arrays.values())


def paired_arrays(owner: str, x: Any, y: Any) -> tuple[Any, Array]:
    """x and y with one row for each sample, as arrays or what sliceable leaves as it is; x may be a tuple of them."""
    x, y = sliceable_parts(owner, x), sliceable(owner, "y", y)
    for name, part in named_parts(x).items():
        if not y.shape or part.shape[:1] != y.shape[:1]:
            got = f"{part.shape} and {y.shape}"
            raise ValueError(f"{owner}: expected {name} and y with one row for each sample, got shapes {got}")
    if not y.shape[0]:
        raise ValueError(f"{owner}: expected at least one sample, got none")
    return x, y
