"""Reads IDX, the format of MNIST, and trusts no file: it may be cut off, damaged, or made to exhaust the memory."""

from __future__ import annotations

import math
import os
import sys
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy import ndarray as Array

from ..arguments import described

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

# No gzip stream unpacks to more than 1,032 times its size, and a large one that comes near that is not data.
GZIP_LIMIT, LARGE, LARGE_GZIP_LIMIT = 1032, 2**24, 100

SLICE = 2**18  # bytes read at a time: gzip makes another copy of each read, two from Python 3.12 on


def load_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, the format of MNIST: images as they are, say uint8 (60000, 28, 28), or labels.

    path: of a plain or a gzipped file, which its content tells. All six types of the format are read: uint8, int8,
    int16, int32, float32 and float64.
    Before anything is allocated, the header is checked to declare no more than a file of this size can hold. In a
    gzipped file, an array above 16 MiB may have at most 100 times the file's size; unpack a larger one first, if you
    trust it.
    Raises ValueError for a file that isn't whole or has bytes after its end; FileNotFoundError for a missing one;
    TypeError for what is no path.
    Source: LeCun, Cortes and Burges 1998, The MNIST database.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"load_idx: expected a path, a str or a pathlib.Path, got {described(path)}")
    path = Path(path)
    with open(path, "rb") as file:
        size, packed = os.fstat(file.fileno()).st_size, file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return _read_idx(path, file, size, packed)
        import gzip  # here, as it takes a thirtieth of the time of importing minnet

        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_idx(path, unpacked, size, packed)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            _bad_idx(path, "a whole gzip file", f"one that can't be unpacked ({error})")


def _read_idx(path: Path, file: BufferedIOBase, size: int, packed: bool) -> Array:
    """The array in an open IDX file, whose header is first checked against its size on the disk."""
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in IDX_TYPES:
        types = ", ".join(f"{code:02x}" for code in IDX_TYPES)
        _bad_idx(path, f"an IDX file, which begins with 0000, a type ({types}) and its axes", header.hex() or "nothing")
    dtype, axes = np.dtype(IDX_TYPES[header[2]]), header[3]
    lengths = file.read(4 * axes)
    if not 1 <= axes <= 64 or len(lengths) < 4 * axes:
        _bad_idx(path, "1 to 64 axes and the length of each", f"{axes} axes and {len(lengths) // 4} lengths")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    count = math.prod(shape)
    nonzero = math.prod(length for length in shape if length)  # which NumPy limits even where count is 0
    what = f"{count * dtype.itemsize} bytes for {dtype.newbyteorder('=')} of shape {shape}"
    limit = min(GZIP_LIMIT * size, max(LARGE, LARGE_GZIP_LIMIT * size)) if packed else size
    if count * dtype.itemsize > limit or nonzero * dtype.itemsize > sys.maxsize:
        _bad_idx(path, f"at most {limit} bytes in a {'gzip ' * packed}file of {size}", f"a header that declares {what}")
    values = bytearray(count * dtype.itemsize)
    read = _fill(values, file)
    if read < len(values) or file.read(1):
        _bad_idx(path, what, "more" if read == len(values) else f"{read}")
    array = np.frombuffer(values, dtype).reshape(shape)
    return array if dtype.isnative else array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _fill(values: bytearray, file: BufferedIOBase) -> int:
    """Read until all values are there or the file ends. Returns how many bytes were read."""
    view, read = memoryview(values), 0
    while got := file.readinto(view[read : read + SLICE]):
        read += got
    return read


def _bad_idx(path: Path, expected: str, got: str) -> NoReturn:
    raise ValueError(f"load_idx: {path}: expected {expected}, got {got}")
