"""A file of named arrays and a few notes: an .npz that is written whole or not at all, and checked before it is read.

Nothing in it is pickled, and nothing compressed: its directory says how much it holds before any of that is read.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy import ndarray as Array

from ..arguments import real_array
from ..errors import CheckpointError

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is open
    fcntl = None  # type: ignore[assignment]

NOTES = "notes.json"
ENCRYPTED = 1  # a flag of a zip member
LONGEST = 50  # characters of a file's name that the name of its temporary file repeats, to stay within the limit
END_OF_DIRECTORY = 22  # bytes, with which an archive ends


class _Compressed(ValueError):
    """An archive with compressed members, as np.savez_compressed writes them and minnet never does."""


def file_path(owner: str, path: str | os.PathLike[str]) -> Path:
    """The path, links resolved. Raises TypeError for what is none, OSError for a folder or one in no folder."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(f"{owner}: expected a path, a str or a pathlib.Path, got {path!r}")
    resolved = Path(path).resolve()
    if resolved.is_dir():
        raise IsADirectoryError(f"{owner}: expected the path of a file, got the folder {resolved}")
    if resolved.exists() and not resolved.is_file():
        raise OSError(f"{owner}: expected the path of a regular file, got {resolved}")
    if not resolved.parent.is_dir():
        raise FileNotFoundError(f"{owner}: expected a file in a folder that exists, got {path}")
    return resolved


def write(path: Path, arrays: Mapping[str, Array], notes: Any = None) -> None:
    """Put arrays, and notes if there are any, into a file, in place of the old one and with its mode.

    They go into a temporary file beside it, are flushed to the disk, and only then take its name: whenever this is
    interrupted, the old file is there or the new one. What an interrupted process leaves behind is removed by the next.
    Raises ValueError for names that no archive can hold; TypeError for arrays that hold no real numbers; OSError where
    the disk can't.
    """
    _remove_leftovers(path)
    with _temporary(path) as temporary:
        with open(temporary, "wb") as file:
            if path.exists():  # before there is anything in it that others may not read
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            _write(file, arrays, notes)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    with suppress(PermissionError):  # of Windows, which opens no folder
        _flush_folder(path.parent)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], Any]:
    """The arrays in a file by name, and the notes, None if it has none.

    Nothing is read before the directory, the sizes in it and the size of the file are known to agree.
    Raises CheckpointError for a file that isn't whole, or holds anything but arrays of real numbers; FileNotFoundError
    for a missing one, OSError where the disk can't.
    """
    with open(path, "rb") as file:
        try:
            return _read(file)
        except Exception as error:  # damage shows in a dozen types: BadZipFile, struct.error, NotImplementedError, …
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # of the disk, not of what is on it
            whole = "" if isinstance(error, _Compressed) else "whole "
            raise CheckpointError(f"{os.fspath(path)} is not a {whole}minnet file: {error}") from error


def _write(file: BinaryIO, arrays: Mapping[str, Array], notes: Any) -> None:
    """Write the archive. Its members have a fixed date, so that the same arrays give the same bytes."""
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, array in arrays.items():
            info = ZipInfo(f"{name}.npy")
            fits = info.filename == f"{name}.npy" and len(info.filename.encode()) < 2**16
            if not fits or info.filename in archive.NameToInfo:
                raise ValueError(f"expected names that a file can hold, each once, got {name!r}")
            array = real_array(name, array)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        if notes is not None:
            archive.writestr(ZipInfo(NOTES), json.dumps(notes, default=np.generic.item))


def _read(file: BinaryIO) -> tuple[dict[str, Array], Any]:
    arrays, notes = {}, None
    size = os.fstat(file.fileno()).st_size
    with ZipFile(file) as archive:
        file.seek(-END_OF_DIRECTORY, os.SEEK_END)
        _check_directory(archive.infolist(), size, end=file.read())
        for info in archive.infolist():
            content = archive.read(info)  # which compares the checksum
            if info.filename == NOTES:
                notes = json.loads(content)
            else:
                arrays[info.filename.removesuffix(".npy")] = _array(info.filename, content)
    return arrays, notes


def _check_directory(members: list[ZipInfo], size: int, end: bytes) -> None:
    """Raise ValueError unless a directory fits the size and lists arrays and notes alone, stored and each once."""
    counted = int.from_bytes(end[10:12], "little")  # which ZipFile doesn't compare with what it finds
    if counted != min(len(members), 2**16 - 1):
        raise ValueError(f"it counts {counted} members and lists {len(members)}")
    if any(info.compress_type == ZIP_DEFLATED for info in members):
        raise _Compressed("it is compressed; load a compressed state_dict by model.load_state_dict(np.load(path))")
    declared = sum(info.file_size for info in members)
    if declared > size:
        raise ValueError(f"it declares {declared} bytes and has {size}")
    if len({info.filename for info in members}) < len(members):
        raise ValueError("a name is in it twice")
    for info in members:
        if info.filename != NOTES and not info.filename.endswith(".npy"):
            raise ValueError(f"{info.filename} in it is no array")
        if info.compress_type != ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & ENCRYPTED:
            raise ValueError(f"{info.filename} in it is compressed or encrypted")


def _array(name: str, content: bytes) -> Array:
    """The array in the content of an .npy file, read-only."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{name} in it has version {version} of the format, not (1, 0)")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "biuf":
        raise ValueError(f"{name} in it holds {dtype}, not real numbers")
    declared, there = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if min(shape, default=0) < 0 or declared != there:
        raise ValueError(f"{name} in it declares {declared} bytes and has {there}")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if columns_first else "C")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside this one, locked as long as it is in use, and gone afterwards unless it was renamed."""
    temporary, lock = _locked(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        if fcntl:
            os.close(lock)


def _locked(path: Path) -> tuple[Path, int]:
    while True:
        temporary = path.with_name(f".{path.name[:LONGEST]}.{os.urandom(4).hex()}.tmp")
        lock = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if not fcntl:
            os.close(lock)  # since Windows renames no file that is open
            return temporary, lock
        with suppress(OSError):  # of file systems without locks, where leftovers stay
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return temporary, lock
        os.close(lock)  # another process removed it as a leftover before it was locked


def _remove_leftovers(path: Path) -> None:
    """The temporary files of processes that were killed: those that nobody has locked."""
    ours = re.compile(rf"\.{re.escape(path.name[:LONGEST])}\.[0-9a-f]{{8}}\.tmp")
    for name in os.listdir(path.parent):
        if ours.fullmatch(name):
            with suppress(OSError), open(path.with_name(name), "rb") as leftover:
                if fcntl:
                    fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(leftover.name)


def _flush_folder(folder: Path) -> None:
    """So that a renaming is on the disk too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
