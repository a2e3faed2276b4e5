"""The file format: written whole or not at all, and read with distrust."""

import errno
import fcntl
import io
import json
import os
import pickle
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minnet
from minnet import CheckpointError
from minnet.files import archive
from minnet.files.archive import file_path, read, write

# Where the fields stand in a member's header and in its entry of the directory.
LOCAL = {"flags": (6, "<H"), "method": (8, "<H"), "crc": (14, "<L"), "packed": (18, "<L"), "size": (22, "<L")}
ENTRY = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<L"), "packed": (20, "<L"), "size": (24, "<L")}
ENTRY |= {"version": (6, "<H"), "extra": (30, "<H"), "disk": (34, "<H"), "offset": (42, "<L")}
TIMEOUT = 60  # seconds, for what takes milliseconds


def zipped(members):
    """An archive of (name, content), stored, with the right checksums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, content in members:
            target.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def deflated(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members:
            target.writestr(name, content)
    return file.getvalue()


def npy(array):
    """The content of an .npy file, of objects too."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npy_with(header, data=b"", version=1):
    """The content of an .npy file whose header is the given text."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<L", len(text)) + text + data


def patched(data, number=0, both=True, **fields):
    """An archive with fields of a directory's entry overwritten, and those of the member's header if it has them."""
    changed = bytearray(data)
    for signature, where in ((b"PK\x01\x02", ENTRY), (b"PK\x03\x04", LOCAL))[: 1 + both]:
        start = -1
        for _ in range(number + 1):
            start = changed.index(signature, start + 1)
        for name, value in fields.items():
            if name in where:
                struct.pack_into(where[name][1], changed, start + where[name][0], value)
    return bytes(changed)


def with_zip64_sizes(data, packed, size):
    """An archive whose one member has its sizes in the extra field of its directory's entry."""
    start = data.index(b"PK\x01\x02")
    name = struct.unpack_from("<H", data, start + 28)[0]
    extra = struct.pack("<HHQQ", 1, 16, size, packed)
    entry = bytearray(data[start : start + 46 + name])
    struct.pack_into("<LL", entry, 20, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<H", entry, 30, len(extra))
    end = bytearray(data[start + 46 + name :])
    struct.pack_into("<L", end, 12, len(entry) + len(extra))
    return data[:start] + bytes(entry) + extra + bytes(end)


def put(path, data):
    """Overwrite a file; several disks take their time when it is made empty first."""
    path.touch()
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate()


def in_file(tmp_path, data):
    put(tmp_path / "file", data)
    return tmp_path / "file"


def same(arrays, others):
    """Whether two dicts of arrays have the same names in the same order, dtypes, shapes and bytes."""
    return list(arrays) == list(others) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(arrays.values(), others.values())
    )


def names_in(folder):
    return sorted(os.listdir(folder))


def outcome(path, data, arrays, notes):
    """What reading a damaged file comes to: "refused", "same", or a description of what should not be."""
    put(path, data)
    try:
        found, remarks = read(path)
    except CheckpointError:
        return "refused"
    except BaseException as error:
        return f"raised {error!r}"
    return "same" if same(found, arrays) and remarks == notes else "other values"


def bit_flips(data, apart):
    for position in range(0, 8 * len(data), apart):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)


# Each bit only at length; the number is prime to 8, so that each bit of a byte has its turn.
bits_apart = pytest.mark.parametrize("apart", [11, pytest.param(1, marks=pytest.mark.long)])

ARRAYS = {
    "float32": np.array([[1.5, -0.0], [np.inf, 3]], np.float32),
    "float64": np.array([np.pi, np.nan, 5e-324]),
    "float16": np.array([0.1], np.float16),
    "scalar": np.array(7.25),
    "integer scalar": np.array(-3),
    "empty": np.zeros((0, 3), np.float32),
    "empty in the middle": np.zeros((2, 0, 3), np.int64),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False]),
    "columns": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "every other": np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-2],
    "broadcast": np.broadcast_to(np.float32(2), (2, 2)),
    "big-endian": np.array([1, 2, 300], ">i2"),
    "0.layers.1.gamma": np.ones(3, np.float32),
    "größe/über ∂.npy": np.ones(1, np.float32),
    "[a]*?": np.ones(1, np.float32),
}
NOTES = {"text": "∂ \u2028 😀", "numbers": [0.1, 2**200, -1e-300], "nothing": None, "inner": {"yes": True}}

SMALL = {"0.W": np.array([[1.5, -2.0]], np.float32), "n": np.array([3, 255], np.uint8)}
VALID = zipped([("a.npy", npy(np.arange(4.0)))])
ONE = npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(4))
GIGABYTE = npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (268435456,), }", bytes(1800))


def npy_shaped(shape, data=bytes(4), descr="'<f4'"):
    return zipped([("a.npy", npy_with(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}", data))])


def nested_member():
    """An archive with a member in the content of another: they overlap, and together are larger than the file."""
    inner = zipped([("b.npy", npy(np.arange(400.0)))])
    outer = zipped([("a.npy", inner[: inner.index(b"PK\x01\x02")] + bytes(10))])
    start = outer.index(b"PK\x01\x02")
    entry = bytearray(inner[inner.index(b"PK\x01\x02") : inner.rindex(b"PK\x05\x06")])
    struct.pack_into("<L", entry, 42, outer.index(b"PK\x03\x04", 4))
    end = bytearray(outer[outer.rindex(b"PK\x05\x06") :])
    entries = outer[start : -len(end)] + bytes(entry)
    struct.pack_into("<HHL", end, 8, 2, 2, len(entries))
    return outer[:start] + entries + bytes(end)


def same_member_often(times=50):
    """An archive whose directory lists one stretch of it many times, under one name and then others."""
    data = zipped([("a.npy", npy(np.arange(400.0)))])
    start, end = data.index(b"PK\x01\x02"), bytearray(data[data.rindex(b"PK\x05\x06") :])
    entry = data[start : -len(end)]
    entries = b"".join(entry.replace(b"a.npy", f"{chr(97 + i % 26)}{i // 26}npy".encode()) for i in range(times))
    entries = entry + entries.replace(b"npy", b".np")
    struct.pack_into("<HHL", end, 8, times + 1, times + 1, len(entries))
    return data[:start] + entries + bytes(end)


class Payload:
    """What unpickling it would run."""

    def __reduce__(self):
        return os.abort, ()


BAD = {
    "an empty file": b"",
    "a text file": b"epoch,loss\n1,0.5\n" * 40,
    "a single .npy file": npy(np.arange(3.0)),
    "a pickle": pickle.dumps({"a": np.arange(3.0)}),
    "zeros": bytes(5000),
    "an end of a directory that counts": b"PK\x05\x06" + bytes(4) + struct.pack("<HHLLH", 5, 5, 500, 0, 0),
    "a count of none in a directory of one": VALID[:-14] + struct.pack("<HH", 0, 0) + VALID[-10:],
    "a count of two in a directory of one": VALID[:-14] + struct.pack("<HH", 2, 2) + VALID[-10:],
    "its directory only": VALID[VALID.index(b"PK\x01\x02") :],
    "its directory only, from there on": patched(VALID, offset=0)[VALID.index(b"PK\x01\x02") :],
    "all but its directory": VALID[: VALID.index(b"PK\x01\x02")],
    "objects": zipped([("a.npy", npy(np.array([{1}, None])))]),
    "objects that run something": zipped([("a.npy", npy(np.array([Payload()], object)))]),
    "an array of objects without any": zipped([("a.npy", npy(np.array([], object)))]),
    "strings": zipped([("a.npy", npy(np.array(["a", "b"])))]),
    "bytes": zipped([("a.npy", npy(np.array([b"a"])))]),
    "complex numbers": zipped([("a.npy", npy(np.array([1j])))]),
    "times": zipped([("a.npy", npy(np.array(["2020-01-01"], "M8[D]")))]),
    "records": zipped([("a.npy", npy(np.zeros(2, [("x", "f4"), ("y", "i4")])))]),
    "arrays in an array": npy_shaped("(1,)", descr="('<f4', (1,))"),
    "a pickle for an array": zipped([("a.npy", pickle.dumps(np.arange(3.0)))]),
    "an empty member": zipped([("a.npy", b"")]),
    "a text": zipped([("a.npy", npy(np.arange(3.0))), ("readme.txt", b"hello")]),
    "a folder": zipped([("a.npy", npy(np.arange(3.0))), ("folder/", b"")]),
    "a name without an ending": zipped([("a", npy(np.arange(3.0)))]),
    "a compressed archive": deflated([("a.npy", npy(np.zeros(100)))]),
    "a compressed archive by its directory only": patched(VALID, both=False, method=8),
    "bzip2 by its directory": patched(VALID, method=12),
    "an unknown method": patched(VALID, method=99),
    "the same name twice": zipped([("a.npy", ONE), ("b.npy", ONE)]).replace(b"b.npy", b"a.npy"),
    "names equal but for what is behind a NUL": zipped([("a.npy", ONE), ("a.npyx", ONE)]).replace(b"npyx", b"npy\0"),
    "two notes": zipped([("notes.json", b"1"), ("notes.jsox", b"2")]).replace(b"jsox", b"json"),
    "another name in the directory": zipped([("a.npy", ONE)])[::-1].replace(b"a.npy"[::-1], b"b.npy"[::-1], 1)[::-1],
    "encrypted": patched(VALID, flags=1),
    "strongly encrypted": patched(VALID, flags=64),
    "patched data": patched(VALID, flags=32),
    "a format of the future": patched(VALID, version=99),
    "a wrong checksum": patched(VALID, crc=12345),
    "1 GB by the directory": patched(VALID, packed=2**30, size=2**30),
    "1 GB by the directory, uncompressed": patched(VALID, size=2**30),
    "1 GB by its compressed size": patched(VALID, packed=2**30),
    "1 GB by the array": zipped([("a.npy", GIGABYTE)]),
    "1 GB by the directory and the array": patched(zipped([("a.npy", GIGABYTE)]), packed=2**30, size=2**30),
    "4 GB less a byte without the 64-bit sizes": patched(VALID, packed=2**32 - 1, size=2**32 - 1),
    "2 EB by 64-bit sizes": with_zip64_sizes(VALID, packed=2**61, size=2**61),
    "more than 2^63 by 64-bit sizes": with_zip64_sizes(VALID, packed=2**64 - 1, size=2**64 - 1),
    "64-bit sizes that are cut off": with_zip64_sizes(VALID, 4, 4)[:-30] + with_zip64_sizes(VALID, 4, 4)[-22:],
    "64-bit directory that is nowhere": VALID[:-22] + struct.pack("<4sLQL", b"PK\6\7", 0, 2**62, 1) + VALID[-22:],
    "several disks": VALID[:-22] + struct.pack("<4sLQL", b"PK\6\7", 1, 0, 3) + VALID[-22:],
    "64-bit directory of 2^60 bytes": VALID[:-22]
    + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**60, 0)
    + struct.pack("<4sLQL", b"PK\6\7", 0, len(VALID) - 22, 1)
    + VALID[-22:],
    "a member inside of another": nested_member(),
    "one member under many names": same_member_often(),
    "a member behind the end": patched(VALID, offset=2**31),
    "an array that ends early": npy_shaped("(2,)"),
    "an array with bytes behind it": npy_shaped("(0,)"),
    "a negative length": npy_shaped("(-1,)"),
    "two negative lengths": npy_shaped("(-1, -1)"),
    "a length of 2^64 + 1, which is 1 in 64 bits": npy_shaped(f"({2**64 + 1},)"),
    "lengths whose product is 1 in 64 bits": npy_shaped(f"({2**32 + 1}, {2**32 - 1}, {2**64 - 1})"),
    "nothing, times too much": npy_shaped("(0, 4611686018427387904, 4611686018427387904)", b""),
    "65 axes": npy_shaped(f"({'1, ' * 65})"),
    "half a length": npy_shaped("(0.5,)"),
    "no tuple of lengths": npy_shaped("'a'"),
    "an unknown type": npy_shaped("(1,)", descr="'<q9'"),
    "a type that is no text": npy_shaped("(1,)", descr="5"),
    "a number in floats of 3 bytes": npy_shaped("(1,)", descr="'<f3'"),
    "types of no bytes": npy_shaped("(1,)", b"", descr="'V0'"),
    "a header that is a list": zipped([("a.npy", npy_with("[1, 2]"))]),
    "a header with a key too many": zipped(
        [("a.npy", npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", bytes(4)))]
    ),
    "a header that calls something": zipped([("a.npy", npy_with("__import__('os').abort()"))]),
    "a header that is nested": zipped([("a.npy", npy_with("(" * 9000 + ")" * 9000))]),
    "a header of 60,000 characters": zipped([("a.npy", npy_with("{" + "'a': 1, " * 7500 + "}"))]),
    "a header that is cut off": zipped([("a.npy", ONE[:30])]),
    "only a magic": zipped([("a.npy", ONE[:6])]),
    "version 2 of 4 GB of header": zipped([("a.npy", b"\x93NUMPY\x02\x00" + struct.pack("<L", 2**32 - 1) + b"{}")]),
    "version 9": zipped([("a.npy", npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", bytes(4), 9))]),
    "notes that are no JSON": zipped([("notes.json", b"{'a': 1}")]),
    "notes that are cut off": zipped([("notes.json", b'{"a": [1, 2')]),
    "notes that are empty": zipped([("notes.json", b"")]),
    "notes that are no UTF-8": zipped([("notes.json", b'"\xff\xfe\xfd"')]),
    "notes nested too deep": zipped([("notes.json", b"[" * 200_000 + b"]" * 200_000)]),
    "notes with dicts nested too deep": zipped([("notes.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)]),
    "notes with a number too long": zipped([("notes.json", b"9" * 50_000)]),
}


# What is written is what is read.


def test_arrays_and_notes_come_back_with_their_bytes(tmp_path):
    write(tmp_path / "file", ARRAYS, NOTES)
    arrays, notes = read(tmp_path / "file")
    assert same(arrays, ARRAYS)
    assert notes == NOTES
    assert json.dumps(notes) == json.dumps(NOTES)


def test_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, ARRAYS, NOTES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("notes", [{}, [], "", 0, False])
def test_empty_notes_are_not_the_same_as_none(tmp_path, notes):
    write(tmp_path / "file", SMALL, notes)
    assert read(tmp_path / "file")[1] == notes
    assert read(tmp_path / "file")[1] is not None


def test_without_notes_there_are_none(tmp_path):
    write(tmp_path / "file", SMALL)
    assert read(tmp_path / "file")[1] is None


def test_no_arrays_are_a_file_too(tmp_path):
    write(tmp_path / "file", {})
    assert read(tmp_path / "file") == ({}, None)


def test_numpy_reads_the_file_as_it_is(tmp_path):
    write(tmp_path / "file", ARRAYS)
    with np.load(tmp_path / "file", allow_pickle=False) as there:
        assert same(dict(there), ARRAYS)


def test_other_programs_find_nothing_compressed_and_no_time(tmp_path):
    write(tmp_path / "file", SMALL, NOTES)
    with zipfile.ZipFile(tmp_path / "file") as there:
        assert there.testzip() is None
        assert there.namelist() == ["0.W.npy", "n.npy", "notes.json"]
        assert {info.compress_type for info in there.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in there.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("array", [np.array([None]), np.array([Payload()], object), np.ones(2) + 1j, np.array(["a"])])
def test_what_could_not_be_read_is_not_written_and_the_old_file_stays(tmp_path, array):
    write(tmp_path / "file", SMALL)
    with pytest.raises(TypeError, match="a: expected real numbers"):
        write(tmp_path / "file", {"a": array})
    assert same(read(tmp_path / "file")[0], SMALL)
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a\0b", "\0", "half a \ud800 pair"])
def test_names_that_no_archive_can_hold_are_refused(tmp_path, name):
    with pytest.raises(ValueError):
        write(tmp_path / "file", {name: np.zeros(1)})
    assert names_in(tmp_path) == []


def test_name_that_is_too_long_for_an_archive_is_refused(tmp_path):
    with pytest.raises(ValueError):
        write(tmp_path / "file", {"a" * 70_000: np.zeros(1)})
    assert names_in(tmp_path) == []


# The old file or the new one.


def test_file_is_flushed_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    path, calls = tmp_path / "file", []
    write(path, {"old": np.zeros(1)})
    fsync, replace = os.fsync, os.replace

    def record_fsync(fd):
        status = os.fstat(fd)
        calls.append(("fsync", status.st_ino, 0 if stat.S_ISDIR(status.st_mode) else status.st_size))
        fsync(fd)

    def record_replace(old, new):
        calls.append(("replace", os.stat(old).st_ino, Path(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write(path, ARRAYS, NOTES)
    new = path.stat()
    assert calls == [
        ("fsync", new.st_ino, new.st_size),
        ("replace", new.st_ino, path),
        ("fsync", tmp_path.stat().st_ino, 0),
    ]


def test_temporary_file_is_in_the_same_folder_and_hidden(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append(names_in(tmp_path)))
    write(tmp_path / "file", SMALL)
    (temporary,) = seen[0]
    assert temporary.startswith(".file.")
    assert seen[1] == ["file"]


@pytest.mark.parametrize("name", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_failed_call_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, name, error):
    path = tmp_path / "file"
    write(path, SMALL)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(type(error)):
        write(path, ARRAYS, NOTES)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["file"]


def test_a_file_system_without_locks_holds_files_too(tmp_path, monkeypatch):
    def fail(file, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", fail)
    write(tmp_path / "file", SMALL)
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("room", [0, 1, 200, 1000, 3000, "all but a byte"])
def test_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, room):
    path = tmp_path / "file"
    write(path, ARRAYS, NOTES)
    room = path.stat().st_size - 1 if room == "all but a byte" else room
    write(path, SMALL)
    before = path.read_bytes()

    class FullDisk(io.FileIO):
        def write(self, data):
            if self.tell() + len(data) > room:
                raise OSError(errno.ENOSPC, "full")
            return super().write(data)

    def opened(name, mode):
        return io.BufferedWriter(FullDisk(name, "wb"), 64) if mode == "wb" else open(name, mode)

    monkeypatch.setattr(archive, "open", opened, raising=False)
    with pytest.raises(OSError) as caught:
        write(path, ARRAYS, NOTES)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["file"]


def test_notes_that_are_no_json_leave_the_old_file_and_no_other(tmp_path):
    write(tmp_path / "file", SMALL)
    with pytest.raises(TypeError):
        write(tmp_path / "file", ARRAYS, {"set": {1}})
    assert same(read(tmp_path / "file")[0], SMALL)
    assert names_in(tmp_path) == ["file"]


def test_shorter_file_takes_the_place_of_a_longer_one(tmp_path):
    write(tmp_path / "file", {"a": np.zeros(10_000)})
    write(tmp_path / "file", SMALL)
    assert same(read(tmp_path / "file")[0], SMALL)
    assert (tmp_path / "file").stat().st_size < 2000


def test_reader_of_the_old_file_goes_on_reading_it(tmp_path):
    write(tmp_path / "file", SMALL)
    with open(tmp_path / "file", "rb") as old:
        before = old.read(10)
        write(tmp_path / "file", ARRAYS)
        assert before + old.read() != (tmp_path / "file").read_bytes()
        old.seek(0)
        with zipfile.ZipFile(old) as there:
            assert there.testzip() is None
            assert there.namelist() == ["0.W.npy", "n.npy"]


# Modes, links and names.


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o400])
def test_mode_of_the_old_file_is_kept(tmp_path, mode):
    path = tmp_path / "file"
    write(path, SMALL)
    path.chmod(mode)
    write(path, ARRAYS)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert same(read(path)[0], ARRAYS)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_new_file_has_the_mode_that_the_umask_leaves(tmp_path, umask, mode):
    old = os.umask(umask)
    try:
        write(tmp_path / "file", SMALL)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_content_of_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    path, modes = tmp_path / "file", []
    write(path, SMALL)
    path.chmod(0o600)
    put = np.lib.format.write_array

    def look_and_put(*args, **kwargs):
        modes.extend(stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names_in(tmp_path))
        put(*args, **kwargs)

    monkeypatch.setattr(np.lib.format, "write_array", look_and_put)
    write(path, SMALL)
    assert modes == [0o600] * 4  # the old file and the temporary one, at each of the two arrays


@pytest.mark.parametrize("relative", [False, True])
def test_link_stays_and_what_it_points_to_is_replaced(tmp_path, relative):
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "here" / "link"
    write(target, SMALL)
    target.chmod(0o640)
    link.symlink_to(Path("..") / "there" / "file" if relative else target)
    write(file_path("test", link), ARRAYS)
    assert link.is_symlink()
    assert not target.is_symlink()
    assert same(read(target)[0], ARRAYS)
    assert same(read(link)[0], ARRAYS)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names_in(tmp_path / "there") == ["file"]
    assert names_in(tmp_path / "here") == ["link"]


def test_link_to_nothing_makes_what_it_points_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write(file_path("test", tmp_path / "link"), SMALL)
    assert (tmp_path / "link").is_symlink()
    assert same(read(tmp_path / "file")[0], SMALL)


def test_link_to_a_folder_is_a_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(IsADirectoryError, match="link"):
        file_path("test", tmp_path / "link")


@pytest.mark.parametrize("path", [None, 3, b"file", 1.5, ["file"], True])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="somebody: expected a path"):
        file_path("somebody", path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"load: expected the path of a regular file, got .*pipe"):
        file_path("load", tmp_path / "pipe")


def test_a_disk_that_fails_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    write(tmp_path / "file", SMALL)

    def fails(file):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(archive, "_read", fails)
    with pytest.raises(OSError, match="Input/output error"):
        read(tmp_path / "file")


def test_the_longest_name_that_a_folder_takes_is_a_good_one(tmp_path):
    name = "a" * 255
    write(tmp_path / name, SMALL)
    write(tmp_path / name, SMALL)
    assert names_in(tmp_path) == [name]


def test_folder_or_a_file_in_none_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="somebody"):
        file_path("somebody", tmp_path)
    with pytest.raises(FileNotFoundError, match="somebody"):
        file_path("somebody", tmp_path / "missing" / "file")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="somebody"):
        file_path("somebody", tmp_path / "file" / "inner")


def test_missing_file_is_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "file")


# Leftovers.


@pytest.mark.parametrize("name", ["file", "model.npz", "[ab]*?.npz", "*", "a b", ".hidden", "größe", "-rf"])
def test_leftovers_are_removed_and_nothing_else(tmp_path, monkeypatch, name):
    """A leftover is what stays if the temporary file can't be removed."""
    others = ["a", "b.npz", f"{name}.tmp", f"{name}.0123abcd.tmp", f"x{name}", f".{name}"]
    others += [".another.0123abcd.tmp", f".x{name}.0123abcd.tmp", f".{name}.0123abcd", f".{name}.0123abcd.tmp.old"]
    for other in others:
        (tmp_path / other).write_bytes(b"keep me")
    (tmp_path / f".{name}.fedcba98.tmp").mkdir()  # a folder is nobody's leftover
    path = tmp_path / name
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *args, **kwargs: None)
        patch.setattr(os, "replace", lambda old, new: None)
        write(path, SMALL)
        write(path, SMALL)
    kept = sorted([*others, f".{name}.fedcba98.tmp"])
    assert len(set(names_in(tmp_path)) - set(kept)) == 1  # the second write has removed what the first one left
    write(path, SMALL)
    assert names_in(tmp_path) == sorted([*kept, name])
    assert all((tmp_path / other).read_bytes() == b"keep me" for other in others)


@pytest.mark.parametrize(
    "ending", ["tmp", "backup.tmp", "best.npz.tmp", "2024-01-31.tmp", "0123abc.tmp", "0123ABCDE.tmp"]
)
def test_hidden_files_of_the_user_are_no_leftovers(tmp_path, ending):
    (tmp_path / f".file.{ending}").write_bytes(b"keep me")
    write(tmp_path / "file", SMALL)
    assert names_in(tmp_path) == sorted([f".file.{ending}", "file"])


def test_temporary_file_of_another_thread_is_no_leftover(tmp_path, monkeypatch):
    path, waiting, go = tmp_path / "file", threading.Event(), threading.Event()
    fsync, errors = os.fsync, []

    def slow(fd):
        if threading.current_thread() is thread and not go.is_set():
            waiting.set()
            assert go.wait(TIMEOUT)
        fsync(fd)

    def write_slowly():
        try:
            write(path, ARRAYS, NOTES)
        except BaseException as error:
            errors.append(error)

    monkeypatch.setattr(os, "fsync", slow)
    thread = threading.Thread(target=write_slowly)
    thread.start()
    try:
        assert waiting.wait(TIMEOUT)
        for _ in range(3):
            write(path, SMALL)
            assert len(names_in(tmp_path)) == 2
            assert same(read(path)[0], SMALL)
    finally:
        go.set()
        thread.join(TIMEOUT)
    assert errors == []
    assert same(read(path)[0], ARRAYS)
    assert names_in(tmp_path) == ["file"]


SLOW_WRITER = """
import os, sys
from pathlib import Path
import numpy as np
from minnet.files.archive import write

def wait(fd):
    print("in the middle", flush=True)
    sys.stdin.readline()

os.fsync = wait
write(Path(sys.argv[1]), {"a": np.zeros(3)})
"""


def environment():
    """That of a process which imports the same minnet."""
    return os.environ | {"PYTHONPATH": str(Path(minnet.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def test_temporary_file_of_another_process_is_a_leftover_once_that_is_killed(tmp_path):
    path = tmp_path / "file"
    command = [sys.executable, "-c", SLOW_WRITER, str(path)]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"in the middle\n"
            write(path, SMALL)
            assert len(names_in(tmp_path)) == 2
        finally:
            process.kill()
            process.wait(TIMEOUT)
    assert len(names_in(tmp_path)) == 2
    assert same(read(path)[0], SMALL)
    write(path, SMALL)
    assert names_in(tmp_path) == ["file"]


def test_temporary_file_that_is_taken_for_a_leftover_is_made_anew(tmp_path, monkeypatch):
    """Between making a file and locking it, another process may find it and remove it."""
    flock, taken = fcntl.flock, []

    def late(fd, how):
        if how == fcntl.LOCK_EX and len(taken) < 3:
            (name,) = names_in(tmp_path)
            (tmp_path / name).unlink()
            taken.append(name)
        return flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write(tmp_path / "file", SMALL)
    assert len(set(taken)) == 3
    assert same(read(tmp_path / "file")[0], SMALL)
    assert names_in(tmp_path) == ["file"]


def test_writing_leaves_no_file_open(tmp_path, monkeypatch):
    opened, closed, real_open, real_close = [], [], os.open, os.close

    def record_open(*args, **kwargs):
        opened.append(real_open(*args, **kwargs))
        return opened[-1]

    def record_close(fd):
        closed.append(fd)
        real_close(fd)

    monkeypatch.setattr(os, "open", record_open)
    monkeypatch.setattr(os, "close", record_close)
    write(tmp_path / "file", SMALL)
    with pytest.raises(TypeError):
        write(tmp_path / "file", SMALL, {"set": {1}})
    assert len(opened) == 3  # a lock for each, and the folder once
    assert sorted(closed) == sorted(opened)


def test_threads_that_write_one_file_end_with_a_whole_one(tmp_path):
    path, errors = tmp_path / "file", []
    write(path, {"a": np.zeros(500), "b": np.zeros(500)})
    done = threading.Event()

    def write_often(value):
        try:
            for _ in range(8):
                write(path, {"a": np.full(500, value), "b": np.full(500, value)})
        except BaseException as error:
            errors.append(error)

    def read_often():
        try:
            while not done.is_set():
                arrays, _ = read(path)
                assert len({*arrays["a"], *arrays["b"]}) == 1
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write_often, args=(float(value),)) for value in range(1, 5)]
    reader = threading.Thread(target=read_often)
    for thread in [*writers, reader]:
        thread.start()
    for thread in writers:
        thread.join(TIMEOUT)
    done.set()
    reader.join(TIMEOUT)
    assert errors == []
    arrays, _ = read(path)
    assert len({*arrays["a"], *arrays["b"]} - {0.0}) == 1
    assert names_in(tmp_path) == ["file"]


FREQUENT_WRITER = """
import sys
from pathlib import Path
import numpy as np
from minnet.files.archive import read, write

path, value = Path(sys.argv[1]), float(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(30):
    write(path, {"a": np.full(500, value), "b": np.full(500, value)})
    arrays, _ = read(path)
    assert len({*arrays["a"], *arrays["b"]}) == 1
"""


@pytest.mark.long
def test_processes_that_write_one_file_end_with_a_whole_one(tmp_path):
    path = tmp_path / "file"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FREQUENT_WRITER, str(path), str(value)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for value in (1, 2, 3)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        errors = [process.communicate(timeout=TIMEOUT)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert errors == [b"", b"", b""]
    arrays, _ = read(path)
    assert len({*arrays["a"], *arrays["b"]}) == 1
    assert names_in(tmp_path) == ["file"]


# Distrust.


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_file_is_refused_by_its_name_and_in_little_memory(tmp_path, data):
    path = in_file(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    fault = str(caught.value).removeprefix(f"{path} is not a ")
    assert fault.startswith(("whole minnet file: ", "minnet file: it is compressed"))
    assert len(str(caught.value)) < 100_000
    assert peak < 2**20 + 20 * len(data)


def test_what_the_bad_files_are_made_of_is_good(tmp_path):
    for data in (VALID, zipped([("a.npy", ONE)]), npy_shaped("(1, 1)"), npy_shaped("(0,)", b"")):
        arrays, notes = read(in_file(tmp_path, data))
        assert list(arrays) == ["a"]
        assert notes is None
    # Sizes in 64 bits are how others write what may become large.
    length = len(npy(np.arange(4.0)))
    assert same(read(in_file(tmp_path, with_zip64_sizes(VALID, length, length)))[0], {"a": np.arange(4.0)})
    assert read(in_file(tmp_path, zipped([("notes.json", b'{"a": 1}')]))) == ({}, {"a": 1})


def test_nothing_is_read_of_a_file_that_declares_too_much(tmp_path, monkeypatch):
    path = in_file(tmp_path, BAD["1 GB by the directory"])
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *args, **kwargs: pytest.fail("a member was opened"))
    with pytest.raises(CheckpointError, match=f"declares {2**30} bytes and has {path.stat().st_size}"):
        read(path)


def test_reading_a_compressed_bomb_unpacks_nothing(tmp_path):
    data = deflated([("a.npy", npy(np.zeros(2**21)))])  # 16 MB
    assert len(data) < 2**15
    path = in_file(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="is not a minnet file: it is compressed"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_large_file_is_read_in_little_more_memory_than_it_holds(tmp_path):
    write(tmp_path / "file", {"a": np.ones(2**19), "b": np.ones(2**19)})  # 4 MB each
    tracemalloc.start()
    try:
        read(tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_bad_file_is_closed_before_the_error_arrives(tmp_path, monkeypatch):
    files, build = [], zipfile.ZipFile.__init__

    def remember(archive, file):
        files.append(file)
        build(archive, file)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", remember)
    for data in (b"", BAD["objects"], BAD["a wrong checksum"]):
        with pytest.raises(CheckpointError):
            read(in_file(tmp_path, data))
    assert [file.closed for file in files] == [True] * 3


def test_nothing_is_ever_unpickled(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        pytest.fail("something was pickled or unpickled")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, fail)
    write(tmp_path / "file", ARRAYS, NOTES)
    read(tmp_path / "file")
    for data in BAD.values():
        with pytest.raises(CheckpointError):
            read(in_file(tmp_path, data))


def test_file_cut_off_anywhere_is_refused(tmp_path):
    write(tmp_path / "file", SMALL, [1])
    data = (tmp_path / "file").read_bytes()
    found = {outcome(tmp_path / "cut", data[:length], SMALL, [1]) for length in range(len(data))}
    assert found == {"refused"}
    assert outcome(tmp_path / "cut", data, SMALL, [1]) == "same"


@bits_apart
def test_no_flipped_bit_changes_what_is_read(tmp_path, apart):
    write(tmp_path / "file", SMALL, [1])
    data = (tmp_path / "file").read_bytes()
    found = [outcome(tmp_path / "flipped", flipped, SMALL, [1]) for flipped in bit_flips(data, apart)]
    assert set(found) == {"refused", "same"}
    assert found.count("refused") > len(found) / 2


@pytest.mark.parametrize("field", [28, 30, 32], ids=["name", "extra", "comment"])
def test_directory_whose_entries_swallow_the_next_is_refused(tmp_path, field):
    """An entry of the directory ends where the lengths in it say, so that a wrong one can hide those behind it."""
    data = zipped([("0.W.npy", ONE), ("2.running_mean.npy", ONE), ("n.npy", ONE)])
    hidden = data[data.rindex(b"PK\x01\x02") - 64 :]
    assert hidden.startswith(b"PK\x01\x02")  # the second entry has 64 bytes
    changed = bytearray(data)
    changed[data.index(b"PK\x01\x02") + field] ^= 64
    assert outcome(tmp_path / "file", bytes(changed), {}, None) == "refused"


@bits_apart
def test_flipped_bits_would_be_found_to_change_something(tmp_path, apart, monkeypatch):
    """A reader that compares no checksums fails the test above."""
    monkeypatch.setattr(zipfile.ZipExtFile, "_update_crc", lambda *args: None)
    write(tmp_path / "file", SMALL, [1])
    data = (tmp_path / "file").read_bytes()
    found = [outcome(tmp_path / "flipped", flipped, SMALL, [1]) for flipped in bit_flips(data, apart)]
    assert found.count("other values") >= 8 * 8 // apart + 8 * 2 // apart  # each bit of the arrays


def test_bomb_would_be_unpacked_without_the_check_of_the_directory(tmp_path, monkeypatch):
    path = in_file(tmp_path, deflated([("a.npy", npy(np.zeros(2**21)))]))
    monkeypatch.setattr(archive, "_check_directory", lambda members, size, end: None)
    tracemalloc.start()
    try:
        assert read(path)[0]["a"].size == 2**21
        assert tracemalloc.get_traced_memory()[1] > 2**24
    finally:
        tracemalloc.stop()
