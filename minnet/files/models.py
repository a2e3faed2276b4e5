"""A model on the disk: its parameters and buffers, saved and loaded."""

from __future__ import annotations

import os
import re

from ..arguments import described, flag
from ..errors import CheckpointError
from ..layer import Layer
from ..state import LeftOut
from .archive import file_path, read, write

OF_TRAINING = re.compile(r"(optimizer\d*|best)/")  # with which names of arrays begin that are not the model's


def save(model: Layer, path: str | os.PathLike[str]) -> None:
    """Write all parameters and buffers of a model into a file.

    The file is an .npz, with the names and arrays of `model.state_dict()`, and no pickle; its name is the one given,
    with no ending added. It takes the place of an older one when it is complete and on the disk: a process that is
    killed, or a disk that is full, leaves the old file whole.
    Raises TypeError for what is no model or no path; FileNotFoundError for a folder that is not there, OSError for a
    path that is a folder, or no regular file.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"save: expected model to be a Layer, got {described(model)}")
    write(file_path("save", path), model.state_dict())


def load(model: Layer, path: str | os.PathLike[str], strict: bool = True) -> LeftOut:
    """Set all parameters and buffers of a model, in place, to those in a file.

    path: of a file by `save`, or a checkpoint of `fit`, with the parameters as they were when it was written,
    which are not those of the best epoch.
    strict: whether all must fit. With False, what the file has under the same name and in the same shape is loaded,
    into a model with another last layer for example; the names of the rest are returned as lists, in `.missing` of the
    file, `.unexpected` in the model, and `.mismatched`.
    Raises CheckpointError, a ValueError, for a file that was damaged or isn't one of minnet's, and for one of another
    model, of which not all fits, or nothing without strict, with every missing, unexpected and misshapen name;
    FileNotFoundError for a missing file; TypeError for what is no model or no path. The model is then as it was.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"load: expected model to be a Layer, got {described(model)}")
    strict = flag("load", "strict", strict)
    arrays, notes = read(file_path("load", path))
    if notes is not None:
        arrays = {name: array for name, array in arrays.items() if not OF_TRAINING.match(name)}
    try:
        return model.load_state_dict(arrays) if strict else model.load_state_dict(arrays, strict=False)
    except ValueError as error:
        raise CheckpointError(f"load: {os.fspath(path)} is not of this model: {error}") from None
