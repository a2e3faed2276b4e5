"""IDX files: whole ones of every type, and bad ones of every kind."""

import gzip
import io
import struct
import tracemalloc
import zlib
from collections import Counter

import numpy as np
import pytest

from minnet.data.idx import load_idx

# Each a whole file, byte by byte: 0000, the type, the number of axes; the length of each axis; the values.
IDX_FILES = {
    "uint8": ("00000801 00000003 00 7f ff", [0, 127, 255]),
    "int8": ("00000901 00000003 80 ff 7f", [-128, -1, 127]),
    "int16": ("00000b01 00000003 0102 fffe 8000", [258, -2, -32768]),
    "int32": ("00000c01 00000002 00010000 ffffffff", [65536, -1]),
    "float32": ("00000d01 00000002 3fc00000 c0200000", [1.5, -2.5]),
    "float64": ("00000e01 00000002 3ff8000000000000 c004000000000000", [1.5, -2.5]),
    "images": (
        "00000803 00000002 00000002 00000003 000102 030405 060708 090a0b",
        np.arange(12).reshape(2, 2, 3).tolist(),
    ),
    "a matrix": ("00000b02 00000002 00000001 0001 0100", [[1], [256]]),
    "nothing": ("00000802 00000000 0000001c", []),
}
LITTLE = 500_000 + 8 * io.DEFAULT_BUFFER_SIZE  # bytes of memory, of which Python itself takes more in some versions
IMAGES = bytes.fromhex(IDX_FILES["images"][0])


def idx_file(folder, content):
    path = folder / "file-idx"
    path.unlink(missing_ok=True)  # some file systems are a hundred times slower when a file is written over
    path.write_bytes(content)
    return path


def peak_memory(function):
    """What a call gives or raises as a ValueError, and the most memory that it held at a time."""
    tracemalloc.start()
    try:
        result = function()
    except ValueError as error:
        result = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return result, peak


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("kind", IDX_FILES)
def test_an_idx_file_of_every_type_is_read(tmp_path, kind, pack):
    text, expected = IDX_FILES[kind]
    path = idx_file(tmp_path, pack(bytes.fromhex(text)))
    for name in (path, str(path)):
        array = load_idx(name)
        assert array.tolist() == expected
        assert array.dtype.isnative and array.flags.writeable
        assert kind not in np.sctypeDict or array.dtype == kind


def test_the_axes_of_an_empty_idx_file_are_kept(tmp_path):
    assert load_idx(idx_file(tmp_path, bytes.fromhex(IDX_FILES["nothing"][0]))).shape == (0, 28)


def test_idx_files_are_unpacked_by_content_and_not_by_name(tmp_path):
    for name, content in (("plain.gz", IMAGES), ("packed-idx3-ubyte", gzip.compress(IMAGES))):
        (tmp_path / name).write_bytes(content)
        assert load_idx(tmp_path / name).shape == (2, 2, 3)


def test_a_large_file_is_read_whole(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (300, 100, 100), np.uint8)
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, *values.shape) + values.tobytes()
    for pack in (bytes, lambda content: gzip.compress(content, 1)):
        assert np.array_equal(load_idx(idx_file(tmp_path, pack(content))), values)


def test_a_gzipped_file_of_zeros_is_read(tmp_path):
    content = struct.pack(">BBBB2I", 0, 0, 14, 2, 1000, 1000) + bytes(8_000_000)
    array = load_idx(idx_file(tmp_path, gzip.compress(content)))
    assert array.shape == (1000, 1000) and not array.any()


def test_a_missing_idx_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere-idx"):
        load_idx(tmp_path / "nowhere-idx")


def changed(at, text):
    """IMAGES with other bytes from an index on."""
    new = bytes.fromhex(text)
    return IMAGES[:at] + new + IMAGES[at + len(new) :]


BAD_IDX_FILES = {
    "empty": (b"", "an IDX file, .*got nothing"),
    "cut in the first four bytes": (IMAGES[:3], "an IDX file, .*got 000008"),
    "of another format": (b"\x89PNG" + IMAGES[4:], "begins with 0000, .*got 89504e47"),
    "whose first byte is not zero": (changed(0, "01"), "begins with 0000, .*got 01000803"),
    "whose second byte is not zero": (changed(1, "01"), "begins with 0000, .*got 00010803"),
    "of no type": (changed(2, "07"), r"a type \(08, 09, 0b, 0c, 0d, 0e\).*got 00000703"),
    "of the type between": (changed(2, "0a"), "got 00000a03"),
    "without axes": (changed(3, "00"), "1 to 64 axes .*got 0 axes"),
    "of more axes than an array has": (b"\0\0\x08\x41" + b"\0\0\0\1" * 65 + b"\0", "got 65 axes"),
    "of more axes than lengths": (changed(3, "ff"), "got 255 axes and 6 lengths"),
    "cut in the lengths": (IMAGES[:15], "got 3 axes and 2 lengths"),
    "without values": (IMAGES[:16], r"12 bytes for uint8 of shape \(2, 2, 3\)"),
    "cut in the values": (IMAGES[:-1], r"12 bytes for uint8 of shape \(2, 2, 3\), got 11"),
    "with one byte more": (IMAGES + b"\0", r"12 bytes for uint8 of shape \(2, 2, 3\), got more"),
    "of a larger type": (changed(2, "0e"), r"96 bytes for float64 of shape \(2, 2, 3\)"),
    "that declares a terabyte": (changed(4, "7fffffff 00000020 00000010"), r"shape \(2147483647, 32, 16\)"),
    "whose size overflows": (changed(4, "80000000 80000000 00000004"), r"shape \(2147483648, 2147483648, 4\)"),
    "that is empty but overflows": (
        bytes.fromhex("00000e04 00000000 ffffffff ffffffff ffffffff"),
        r"shape \(0, 4294967295",
    ),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("kind", BAD_IDX_FILES)
def test_a_bad_idx_file_is_a_value_error_that_names_it(tmp_path, kind, pack):
    content, text = BAD_IDX_FILES[kind]
    path = idx_file(tmp_path, pack(content))
    with pytest.raises(ValueError, match=text) as caught:
        load_idx(path)
    assert str(caught.value).startswith(f"load_idx: {path}: expected ")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(IMAGES)[:2],
        gzip.compress(IMAGES)[:12],
        gzip.compress(IMAGES)[:-1],
        gzip.compress(IMAGES)[:-9],
        gzip.compress(IMAGES) + b"trailing",
        gzip.compress(IMAGES)[:-8] + bytes(8),
        b"\x1f\x8b\x07" + gzip.compress(IMAGES)[3:],
        b"\x1f\x8b" + IMAGES,
    ],
    ids=["magic", "header", "end", "trailer", "trailing", "checksum", "method", "not gzip"],
)
def test_a_bad_gzip_file_is_a_value_error_that_names_it(tmp_path, content):
    path = idx_file(tmp_path, content)
    with pytest.raises(ValueError, match="expected a whole gzip file, got one that can't be unpacked") as caught:
        load_idx(path)
    assert str(caught.value).startswith(f"load_idx: {path}: ")


def zeros_gzipped(header, count):
    """A gzip file of a header and so many zeros, made without having them in memory."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(header), *(packer.compress(bytes(2**20)) for _ in range(count // 2**20)), packer.flush()]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (struct.pack(">BBBBI", 0, 0, 8, 1, 10**9) + bytes(2000), "at most 2008 bytes in a file of 2008"),
        (gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 10**9) + bytes(2000)), "in a gzip file of"),
        (zeros_gzipped(struct.pack(">BBBBI", 0, 0, 8, 1, 10**9), 2**16), "in a gzip file of"),
        (zeros_gzipped(struct.pack(">BBBBI", 0, 0, 8, 1, 2**26), 2**26), "at most 16777216 bytes in a gzip file of"),
        (zeros_gzipped(struct.pack(">BBBBI", 0, 0, 8, 1, 100), 2**26), "100 bytes .*, got more"),
    ],
    ids=["plain", "gzipped", "gzipped zeros", "bomb", "bomb behind a small array"],
)
def test_a_file_that_declares_or_unpacks_to_too_much_is_refused_unread(tmp_path, content, text):
    path = idx_file(tmp_path, content)
    with pytest.raises(ValueError, match=text):
        load_idx(path)
    error, peak = peak_memory(lambda: load_idx(path))
    assert isinstance(error, ValueError) and peak < LITTLE


def test_reading_takes_little_more_than_the_array(tmp_path):
    content = struct.pack(">BBBBI", 0, 0, 12, 1, 10**6) + np.random.default_rng(0).bytes(4 * 10**6)
    for pack in (bytes, lambda content: gzip.compress(content, 1)):
        path = idx_file(tmp_path, pack(content))
        array, peak = peak_memory(lambda path=path: load_idx(path))
        assert array.nbytes == 4 * 10**6 and peak < 1.6 * array.nbytes


def mutated(content, rng):
    """The bytes with one to three things wrong: some overwritten, cut out, doubled, put in or cut off."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, count = int(rng.integers(len(content) + 1)), int(rng.integers(1, 5))
        if rng.random() < 0.5:
            at = int(rng.integers(16))
        new = rng.bytes(count) if rng.random() < 0.5 else bytes([rng.choice([0, 1, 8, 13, 14, 127, 128, 255])]) * count
        match rng.integers(5):
            case 0:
                content[at : at + count] = new
            case 1:
                del content[at : at + count]
            case 2:
                content[at:at] = content[at : at + count]
            case 3:
                content[at:at] = new
            case 4:
                del content[max(at, 4) :]
    return bytes(content)


@pytest.mark.parametrize("times", [300, pytest.param(2000, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["plain", "mutated, then gzipped", "gzipped, then mutated"])
def test_a_mutated_idx_file_is_read_or_refused_in_little_memory(tmp_path, kind, times):
    rng = np.random.default_rng(0)
    originals = [bytes.fromhex(text) for text, _ in IDX_FILES.values()]
    originals.append(struct.pack(">BBBB3I", 0, 0, 8, 3, 3, 28, 28) + rng.bytes(3 * 28 * 28))
    outcomes = Counter()
    for i in range(times):
        content = originals[i % len(originals)]
        if kind == "gzipped, then mutated":
            content = gzip.compress(content, mtime=0)
        content = mutated(content, rng)
        if kind == "mutated, then gzipped":
            content = gzip.compress(content, mtime=0)
        path = idx_file(tmp_path, content)
        result, peak = peak_memory(lambda path=path: load_idx(path))
        assert peak < LITTLE + 2500 * len(content) * (kind != "plain")
        if isinstance(result, ValueError):
            assert str(result).startswith(f"load_idx: {path}: expected ")
        elif kind == "plain":
            assert result.nbytes < len(content)
        outcomes[isinstance(result, ValueError)] += 1
    assert outcomes[True] > times / 2 and outcomes[False] > times // 400


@pytest.mark.rows("path", [5, None, b"x"])
def test_what_is_no_path_is_refused_by_name(path):
    with pytest.raises(TypeError, match=r"^load_idx: expected a path, a str or a pathlib.Path, got "):
        load_idx(path)
