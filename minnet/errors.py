"""The errors of minnet that are kinds of their own. All others are those of Python: ValueError, TypeError and so on."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A file that is not a whole minnet file, or not one of the model or run that it was to be loaded into."""


class LayerCheckError(AssertionError):
    """A layer breaks its contract; the message says where."""


class BackwardBeforeForward(RuntimeError, AttributeError):
    """A cache was read before any forward. An AttributeError too, so that hasattr(layer, "cache") is False."""
