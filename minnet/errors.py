"""The errors of minnet that are kinds of their own. All others are those of Python: ValueError, TypeError and so on."""

from __future__ import annotations

from numpy import ndarray as Array


class CheckpointError(ValueError):
    """A file that is not a whole minnet file, or not one of the model or run that it was to be loaded into."""


class LayerCheckError(AssertionError):
    """A layer breaks its contract; the message says where.

    Where a gradient is wrong, name is that of its array, gradient is what backward gives, and numeric what differences
    give, NaN in entries that were not sampled. Of several wrong gradients it is the first. Otherwise all are None.
    """

    def __init__(
        self, message: str = "", name: str | None = None, gradient: Array | None = None, numeric: Array | None = None
    ) -> None:
        super().__init__(message)
        self.name, self.gradient, self.numeric = name, gradient, numeric


class BackwardBeforeForward(RuntimeError, AttributeError):
    """A cache was read before any forward. An AttributeError too, so that hasattr(layer, "cache") is False."""
