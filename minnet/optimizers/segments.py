"""Segments of an optimizer's vectors, where parameters that know their rows are among the others.

Of such a parameter the rows that got gradient are handed out as small arrays, and written back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy import ndarray as Array

from ..parameter import Parameter, SparseParameter

# Entries of rows that are updated at a time, so that w, g and two moments stay in the second-level cache. Blocks eight
# times as large take twice as long.
ENTRIES = 2**15

View = tuple[Parameter, Array, Array]
Part = tuple[list[View], list[Array]]


class Ordinary:
    """A run of parameters that are updated as a whole.

    views: of them.  part: where they are in the vectors.  w, g: the vectors of all data and gradients.
    """

    def __init__(self, views: list[View], part: slice, w: Array, g: Array) -> None:
        self.views, self.part, self.w, self.g = views, part, w[part], g[part]

    def gradient(self) -> Array:
        """The gradient, as a vector, without parts that are zero for sure."""
        return self.g

    def clear(self) -> None:
        """Set the gradient to zero."""
        self.g.fill(0)

    def parts(self, moments: Iterable[Array], block: int) -> Iterator[Part]:
        """(views, vectors) of what is updated at a time. The vectors are w, g and the moments there."""
        yield self.views, [self.w, self.g, *(moment[self.part] for moment in moments)]


class Rows(Ordinary):
    """A sparse parameter, of which those rows are updated that got gradient."""

    def __init__(self, parameter: SparseParameter, view: View, part: slice, w: Array, g: Array) -> None:
        super().__init__([view], part, w, g)
        self.parameter, self.w = parameter, view[1]

    def gradient(self) -> Array:
        return self.parameter.by_row()[1].reshape(-1)

    def clear(self) -> None:
        self.parameter.zero_grad()

    def parts(self, moments: Iterable[Array], block: int) -> Iterator[Part]:
        tables = [self.w, *(moment[self.part].reshape(self.w.shape) for moment in moments)]
        (rows, sums), count = self.parameter.by_row(), max(1, min(block, ENTRIES) // max(1, self.w[:1].size))
        ((p, *_),), scratch = self.views, [np.empty_like(table[:count]) for table in tables]
        for start in range(0, len(rows), count):
            at, g = rows[start : start + count], sums[start : start + count]
            w, *others = taken = [each[: len(at)] for each in scratch]
            for table, each in zip(tables, taken):
                table.take(at, axis=0, out=each, mode="clip")  # "raise", which checks the rows again, copies twice
            yield [(p, w, g)], [array.reshape(-1) for array in (w, g, *others)]
            for table, each in zip(tables, taken):
                table[at] = each


def segments(parameters: Iterable[Parameter], views: Iterable[View], w: Array, g: Array) -> list[Ordinary]:
    """The segments of the vectors w and g; none if no parameter is sparse."""
    found: list[Ordinary] = []
    start = 0
    for p, view in zip(parameters, views):
        part = slice(start, start := start + view[1].size)
        if isinstance(p, SparseParameter):
            found.append(Rows(p, view, part, w, g))
        elif found and not isinstance(found[-1], Rows):
            found[-1] = Ordinary([*found[-1].views, view], slice(found[-1].part.start, part.stop), w, g)
        else:
            found.append(Ordinary([view], part, w, g))
    return found if any(isinstance(segment, Rows) for segment in found) else []
