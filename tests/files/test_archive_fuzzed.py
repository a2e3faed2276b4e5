"""Files that were damaged at random, or forged with care: refused, or read as they were, and nothing else."""

import copy
import faulthandler
import gzip
import io
import math
import os
import random
import struct
import sys
import tracemalloc
import zipfile
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from minnet import (
    SGD,
    Batches,
    BatchNorm,
    Buffer,
    CheckpointError,
    Dropout,
    Layer,
    Linear,
    Parameter,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    generator,
    load,
    load_idx,
    save,
)
from minnet.files import archive
from minnet.files.archive import read, write
from minnet.training import checkpoint

# How many mutations of each kind: a draw of them in every run of the tests, and all of them at length.
SAVED, CHECKPOINT, FORGED, RESUMED, FORGED_NOTES = (400, 5000), (250, 2500), (200, 2000), (40, 500), (40, 800)
PLAIN_IDX, GZIP_IDX, FORGED_IDX = (300, 3000), (200, 2000), (200, 1000)  # each of two files
MEGABYTE = 2**20
MUCH = 8 * MEGABYTE  # of memory, for a file of a few kB; an array's header of 10 kB takes the most of it
TIMEOUT = 300  # seconds until a test counts as hanging; each takes a few

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = np.arange(8) % 2
EXTREMES = [0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def times(draw, all_of_them):
    return pytest.mark.parametrize("times", [draw, pytest.param(all_of_them, marks=pytest.mark.long)])


@pytest.fixture(autouse=True)
def alarm():
    """End a hanging test, wherever it hangs."""
    faulthandler.dump_traceback_later(TIMEOUT, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


# Damage that knows nothing of the format.


def stretch(data, rng, most=64):
    """Where a stretch of at least one byte begins and ends."""
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randint(1, most))


def flip_a_bit(data, rng):
    position = rng.randrange(8 * len(data))
    return data[: position // 8] + bytes([data[position // 8] ^ 1 << position % 8]) + data[position // 8 + 1 :]


def change_bytes(data, rng):
    changed = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(changed)


def cut_off(data, rng):
    return data[: rng.randrange(len(data))]


def insert(data, rng):
    start = rng.randint(0, len(data))
    return data[:start] + rng.randbytes(rng.randint(1, 64)) + data[start:]


def delete(data, rng):
    start, end = stretch(data, rng)
    return data[:start] + data[end:]


def repeat(data, rng):
    start, end = stretch(data, rng, most=len(data))
    return data[:end] * (1 + (start == 0)) + data[start:]


def exchange(data, rng):
    if len(data) < 2:
        return data
    a, b = sorted(rng.sample(range(len(data)), 2))
    size = rng.randint(1, max(1, min(64, b - a, len(data) - b)))
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def overwrite_with_an_extreme(data, rng):
    size, order = rng.choice([2, 4, 8]), rng.choice(["little", "big"])
    start = rng.randrange(len(data))
    extreme = rng.choice([value for value in EXTREMES if value < 256**size]).to_bytes(size, order)
    return (data[:start] + extreme + data[start + size :])[: max(len(data), start + 1)]


def erase(data, rng):
    start, end = stretch(data, rng, most=512)
    return data[:start] + bytes([rng.choice([0, 255])]) * (end - start) + data[end:]


DAMAGE = [flip_a_bit, change_bytes, cut_off, insert, delete, repeat, exchange, overwrite_with_an_extreme, erase]


def damaged(data, times, seed):
    """So many damaged files, none of which is the whole one."""
    rng = random.Random(seed)
    while times:
        changed = data
        for _ in range(rng.choice([1, 1, 1, 2])):
            if changed:
                changed = rng.choice(DAMAGE)(changed, rng)
        if changed != data:
            times -= 1
            yield changed


# Forgery that gets all checksums right.


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {info.filename: file.read(info) for info in file.infolist()}


def zipped(contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, content in contents.items():
            target.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def with_header(content, rng):
    """An .npy file with another header."""
    size = struct.unpack_from("<H", content, 8)[0]
    shape = rng.choice(["()", "(1,)", "(-1,)", "(3, 2)", "(0,)", "(2, 0)", "5", "(True, 2)", "(1.0,)", "('1',)"])
    if rng.random() < 0.5:
        shape = f"({', '.join(str(rng.choice([*EXTREMES, 2, 3, 4, 10**30])) for _ in range(rng.randint(1, 6)))},)"
    kinds = ["", "<f4", ">f4", "<f8", "<i8", "|b1", "<f2", "<c8", "|O", "<U1", "|V0", "<M8[s]", "<f16", "x" * 50]
    descr = rng.choice(kinds)
    order = rng.choice(["True", "False", "0", "None"])
    header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if rng.random() < 0.3:
        header = rng.choice(DAMAGE)(header.encode(), rng).decode("latin1")
    if rng.random() < 0.02:
        header = rng.choice(["(", "[", "{1:", "-", "1+", "(),"]) * rng.randint(1, 9000)
    text = header.encode("latin1") + b"\n"
    length = rng.choice([len(text)] * 9 + [0, 1, 65535])
    return b"\x93NUMPY\1\0" + struct.pack("<H", length) + text + content[10 + size :]


def with_sizes(data, rng):
    """An archive whose directory tells other sizes and places, and as an exception the members do too."""
    changed, places = bytearray(data), []
    start = data.find(b"PK\1\2")
    while start >= 0:
        places += [start + offset for offset in (20, 24, 42)]
        start = data.find(b"PK\1\2", start + 4)
    end = data.rindex(b"PK\5\6")
    for _ in range(rng.randint(1, 3)):
        place = rng.choice([*places, end + 12, end + 16])
        old = struct.unpack_from("<L", changed, place)[0]
        new = rng.choice([value for value in EXTREMES if value < 2**32] + [old + 1, old + 64, abs(old - 1), len(data)])
        struct.pack_into("<L", changed, place, new)
        if place - 4 in places and rng.random() < 0.7:
            struct.pack_into("<L", changed, place - 4, new)
    return bytes(changed)


def with_members(data, rng):
    """An archive with members exchanged, renamed, lost, added or emptied."""
    contents = members(data)
    name, other = rng.choice(list(contents)), rng.choice(list(contents))
    names = ["", f"../{name}", name.upper(), "x.npy", "x.txt", ".npy", "notes.json", "a/", "\x7f.npy", "best/.npy"]
    action = rng.randrange(5)
    if action == 0:
        contents[name], contents[other] = contents[other], contents[name]
    elif action == 1:
        contents[rng.choice(names)] = contents.pop(name)
    elif action == 2:
        del contents[name]
    elif action == 3:
        contents[rng.choice(names)] = contents[other]
    else:
        contents[name] = contents[name][: rng.choice([0, 1, 6, 10, 50, 128])]
    return zipped(contents)


def forged(data, times, seed):
    rng = random.Random(seed)
    for _ in range(times):
        way = rng.randrange(4)
        contents = members(data)
        name = rng.choice([name for name in contents if name.endswith(".npy")])
        if way == 0:
            yield zipped(contents | {name: with_header(contents[name], rng)})
        elif way == 1:
            yield with_sizes(data, rng)
        elif way == 2:
            yield with_members(data, rng)
        else:
            yield zipped(contents | {name: next(damaged(contents[name], 1, rng.random()))})


def deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def sites(notes, path=()):
    """The way to each value in nested dicts and lists."""
    entries = notes.items() if isinstance(notes, dict) else enumerate(notes) if isinstance(notes, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from sites(value, (*path, key))


MISSING = object()
ANYTHING = [MISSING, None, True, 0, -1, 1.5, "x", "", [], {}, [[]], {"x": 1}, 10**30, 10**400, math.nan, deep(200)]


def forged_notes(notes, times, seed):
    """The notes with a value in them lost, or of another type or size."""
    every = [(way, value) for way in sites(notes) for value in ANYTHING]
    for way, value in random.Random(seed).sample(every, times):
        changed = copy.deepcopy(notes)
        inner = changed
        for key in way[:-1]:
            inner = inner[key]
        if value is MISSING:
            del inner[way[-1]]
        else:
            inner[way[-1]] = value
        yield f"{way} = {'nothing' if value is MISSING else repr(value)[:30]}", changed


# What damage comes to.


def put(path, data):
    """Overwrite a file; several disks take their time when it is made empty first."""
    path.touch()
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate()


def content(model):
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in model.state_dict().items()}


def clear(model):
    for state in model.walk(Parameter, Buffer).values():
        state.data.fill(0)


@contextmanager
def memory(found, i):
    """Count where too much of it is taken; looked at in one of four cases, since that takes its time."""
    if i % 4:
        yield
        return
    tracemalloc.start()
    try:
        yield
        if tracemalloc.get_traced_memory()[1] > MUCH:
            found["too much memory"] += 1
    finally:
        tracemalloc.stop()


def outcomes(path, model, after, files):
    """How often loading each of the files is "refused", gives the "same" or "other" values, or goes wrong."""
    clear(model)
    before, found = content(model), Counter()
    for i, file in enumerate(files):
        put(path, file)
        with memory(found, i):
            try:
                load(model, path)
            except CheckpointError:
                found["refused" if content(model) == before else "refused, and yet changed the model"] += 1
            except BaseException as error:
                found[f"raised {error!r}"] += 1
            else:
                found["same" if content(model) == after else "other"] += 1
                clear(model)
    return found


def saved(tmp_path):
    """A model, its content, and the file that it was saved in."""
    model = Sequential(Linear(3, 2), BatchNorm(2), SoftmaxCrossEntropy())
    save(model, tmp_path / "model")
    return model, content(model), (tmp_path / "model").read_bytes()


def classifier():
    return Sequential(Linear(3, 2, rng=1), Dropout(0.5, rng=2), SoftmaxCrossEntropy())


def train(path, epochs, model=None, history=None):
    """The model after so many epochs and all else that a run changes, with what raised if anything did."""
    model = classifier() if model is None else model
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    batches = Batches(X, Y, 4, rng=3)
    history = {} if history is None else history
    error = None
    before = state_of(model, optimizer, batches)
    try:
        history |= fit(model, optimizer, batches, epochs, [(X, Y)], patience=3, checkpoint=path, progress=False)
    except BaseException as caught:
        error = caught
    history.pop("seconds", None)
    after = state_of(model, optimizer, batches)
    return error, after == before, (after, history)


def state_of(model, optimizer, batches):
    state = {name: np.asarray(value).tobytes() for name, value in optimizer.state_dict().items()}
    drawn = [batches.rng, *model.walk(np.random.Generator).values()]
    return content(model), state, [str(generator.bit_generator.state) for generator in drawn]


def resumed(path, files, epochs, right):
    """As `outcomes`, of taking up a run: files are those themselves, or (what was done, a function that writes it)."""
    found = Counter()
    for what, write_it in files:
        write_it(path)
        package = str(generator().bit_generator.state)
        error, unchanged, result = train(path, epochs)
        if isinstance(error, CheckpointError):
            if str(generator().bit_generator.state) != package:
                unchanged = False
            found["refused" if unchanged else f"refused, and yet changed something: {what}"] += 1
        elif isinstance(error, FloatingPointError):
            found["diverged"] += 1
        elif error:
            found[f"raised {error!r:.80} for {what}"] += 1
        else:
            found["same" if result == right else "other"] += 1
    return found


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The checkpoint of a run of two epochs, and what the third comes to."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # nothing here has to outlast a power cut
    assert train(tmp_path / "run", 2)[0] is None
    file = (tmp_path / "run").read_bytes()
    error, _, right = train(tmp_path / "run", 3)
    assert error is None
    put(tmp_path / "run", file)
    assert len({len(column) for column in right[1].values()}) == 1
    return tmp_path / "run", file, right


# Archives.


@times(*SAVED)
def test_damaged_file_of_a_model_is_refused_or_gives_the_same_values(tmp_path, times):
    model, after, file = saved(tmp_path)
    found = outcomes(tmp_path / "damaged", model, after, damaged(file, times, seed=1))
    assert found.keys() == {"refused", "same"}
    assert found["refused"] > times / 2


@times(*CHECKPOINT)
def test_damaged_checkpoint_is_refused_or_gives_the_same_values(run, times):
    path, file, _ = run
    model = classifier()
    load(model, path)
    found = outcomes(path, model, content(model), damaged(file, times, seed=2))
    assert found.keys() == {"refused", "same"}
    assert found["refused"] > times / 2


@times(*FORGED)
def test_forged_file_of_a_model_is_refused_or_loaded(tmp_path, times):
    """Who gets the checksums right may give other values, but nothing that is no array of real numbers."""
    model, after, file = saved(tmp_path)
    found = outcomes(tmp_path / "forged", model, after, forged(file, times, seed=3))
    assert found.keys() >= {"refused", "same", "other"} and found.keys() <= {"refused", "same", "other", "diverged"}
    assert found["refused"] > times / 2


@times(*RESUMED)
def test_damaged_checkpoint_is_taken_up_exactly_or_not_at_all(run, times):
    path, file, right = run

    def writers():
        for changed in damaged(file, times, seed=4):
            yield "damage", lambda path, changed=changed: put(path, changed)

    found = resumed(path, writers(), 3, right)
    assert found.keys() <= {"refused", "same"}
    assert found["refused"] > times / 2


@times(*FORGED_NOTES)
def test_checkpoint_with_forged_notes_is_refused_or_taken_up(run, times):
    path, _, right = run
    arrays, notes = read(path)

    def writers():
        for what, changed in forged_notes(notes, times, seed=6):
            yield what, lambda path, changed=changed: write(path, arrays, changed)

    found = resumed(path, writers(), 3, right)
    assert found.keys() >= {"refused", "same", "other"} and found.keys() <= {"refused", "same", "other", "diverged"}


@times(*RESUMED)
def test_checkpoint_with_forged_arrays_is_refused_or_taken_up(run, times):
    """From forged parameters, a run may also diverge."""
    path, file, right = run

    def writers():
        for changed in forged(file, times, seed=5):
            yield "forgery", lambda path, changed=changed: put(path, changed)

    found = resumed(path, writers(), 3, right)
    assert found.keys() <= {"refused", "same", "other", "diverged"}
    assert found["refused"] > times / 2


@pytest.mark.parametrize("name", ["0.W", "more", "best/0.W", "best/more", "optimizer/steps", "optimizer/more"])
def test_checkpoint_with_an_array_too_few_or_too_many_is_refused(run, name):
    path, _, right = run
    arrays, notes = read(path)
    if name in arrays:
        del arrays[name]
    else:
        arrays[name] = np.zeros(2)
    assert resumed(path, [(name, lambda path: write(path, arrays, notes))], 2, right) == {"refused": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", -1),
        ("epoch", -(10**9)),
        ("epoch", 1.5),
        ("batch", -1),
        ("batch", 1.5),
        ("loss", "x"),
        ("seconds", "x"),
    ],
)
def test_checkpoint_with_a_position_that_no_run_has_is_refused(run, name, value):
    path, _, right = run
    arrays, notes = read(path)
    notes["position"][name] = value
    assert resumed(path, [(name, lambda path: write(path, arrays, notes))], 3, right) == {"refused": 1}


@times(*SAVED)
def test_damage_would_be_found_to_change_values_without_the_checksums(tmp_path, monkeypatch, times):
    monkeypatch.setattr(zipfile.ZipExtFile, "_update_crc", lambda *args: None)
    model, after, file = saved(tmp_path)
    assert outcomes(tmp_path / "damaged", model, after, damaged(file, times, seed=1))["other"] > times / 500


def test_damage_would_be_found_to_raise_other_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "CheckpointError", ValueError)
    model, after, file = saved(tmp_path)
    found = outcomes(tmp_path / "damaged", model, after, damaged(file, 300, seed=1))
    assert sum(number for what, number in found.items() if what.startswith("raised ValueError")) > 100


def test_damage_would_be_found_to_change_a_model_by_half(tmp_path, monkeypatch):
    def load_by_half(model, state):
        for name, target in model.walk(Parameter, Buffer).items():
            if name not in state or state[name].shape != target.data.shape:
                raise ValueError(f"no {name}")
            target.data[...] = state[name]

    monkeypatch.setattr(Layer, "load_state_dict", load_by_half)
    model, after, file = saved(tmp_path)
    found = outcomes(tmp_path / "forged", model, after, forged(file, 200, seed=3))
    assert found["refused, and yet changed the model"] > 5


def test_forgery_would_be_found_to_take_memory_without_the_check_of_sizes(tmp_path, monkeypatch):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("0.W.npy", bytes(2 * MUCH))
    model, after, _ = saved(tmp_path)
    assert outcomes(tmp_path / "bomb", model, after, [file.getvalue()]) == {"refused": 1}
    monkeypatch.setattr(archive, "_check_directory", lambda members, size, end: None)
    assert outcomes(tmp_path / "bomb", model, after, [file.getvalue()])["too much memory"] == 1


def test_resuming_would_be_found_to_change_something_if_nothing_was_brought_back(run, monkeypatch):
    path, _, right = run
    arrays, notes = read(path)
    notes["history"]["loss"] = "x"
    broken = [("history", lambda path: write(path, arrays, notes))]

    def restore_and_fail(resumed, arrays, notes):
        resumed.run.model.parameters()[0].data += 1
        raise KeyError("history")

    monkeypatch.setattr(checkpoint, "_restore", restore_and_fail)
    monkeypatch.setattr(Layer, "load_state_dict", lambda model, state: None)
    assert resumed(path, broken, 3, right).keys() == {"refused, and yet changed something: history"}


# IDX files.


def idx(array, code):
    """An IDX file."""
    lengths = b"".join(struct.pack(">L", length) for length in array.shape)
    return bytes([0, 0, code, array.ndim]) + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


ARRAYS = [(np.arange(40, dtype=np.uint8).reshape(5, 4, 2), 8), (np.arange(12, dtype=np.float64), 14)]


def idx_outcomes(path, array, files):
    """How often reading each of the files is "refused" or gives the "same", or an "other" array that fits into it."""
    found = Counter()
    for i, file in enumerate(files):
        put(path, file)
        with memory(found, i):
            try:
                read = load_idx(path)
            except Exception as error:
                found["refused" if type(error) is ValueError else f"raised {error!r}"] += 1
            else:
                same = (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())
                fits = read.nbytes < len(file) and read.dtype.isnative
                found["same" if same else "other" if fits else f"an array of {read.nbytes} bytes"] += 1
    return found


@times(*PLAIN_IDX)
@pytest.mark.parametrize(("array", "code"), ARRAYS, ids=["bytes", "floats"])
def test_damaged_idx_file_is_refused_or_an_array_that_fits_into_it(tmp_path, array, code, times):
    """Nothing in an IDX file tells whether its values are right."""
    assert idx_outcomes(tmp_path / "idx", array, [idx(array, code)]) == {"same": 1}
    found = idx_outcomes(tmp_path / "idx", array, damaged(idx(array, code), times, seed=6))
    assert found.keys() - {"same"} == {"refused", "other"}


@times(*GZIP_IDX)
@pytest.mark.parametrize(("array", "code"), ARRAYS, ids=["bytes", "floats"])
def test_damaged_gzip_idx_file_is_refused_or_gives_the_same_values(tmp_path, array, code, times):
    packed = gzip.compress(idx(array, code), mtime=0)
    assert idx_outcomes(tmp_path / "idx", array, [packed]) == {"same": 1}
    found = idx_outcomes(tmp_path / "idx", array, damaged(packed, times, seed=7))
    assert found.keys() == {"refused", "same"}
    assert found["refused"] > times / 2


@times(*FORGED_IDX)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_forged_idx_file_is_refused_or_an_array_that_fits_into_it(tmp_path, pack, times):
    array, code = ARRAYS[0]
    whole = idx(array, code)

    def files():
        rng = random.Random(8)
        for _ in range(times):
            axes = rng.choice([0, 1, 2, 3, 3, 3, 32, 64, 65, 255])
            lengths = [rng.choice([0, 1, 2, 4, 5, 40, 2**16, 2**31, 2**32 - 1]) for _ in range(rng.choice([axes, 3]))]
            header = bytes([0, 0, rng.choice([8, 8, 9, 11, 12, 13, 14, 10, 0, 255]), axes])
            changed = header + b"".join(struct.pack(">L", length) for length in lengths) + whole[16:]
            yield pack(changed if rng.random() < 0.7 else next(damaged(changed, 1, rng.random())))

    found = idx_outcomes(tmp_path / "idx", array, files())
    assert found.keys() - {"same"} <= {"refused", "other"}
    assert found["refused"] > times / 2


def test_damage_would_be_found_to_take_memory_if_sizes_were_believed(tmp_path, monkeypatch):
    """So that files may hold 100,000 times their size, the limits for gzip are set out of reach."""
    monkeypatch.setattr("minnet.data.idx.GZIP_LIMIT", 10**9)
    monkeypatch.setattr("minnet.data.idx.LARGE", 10**9)
    array = ARRAYS[0][0]
    packed = gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">L", 2**24) + bytes(9), mtime=0)
    assert idx_outcomes(tmp_path / "idx", array, [packed])["too much memory"] == 1


def test_twenty_thousand_files_are_mutated_at_least():
    of_one_file, of_two = (SAVED, CHECKPOINT, FORGED, FORGED_NOTES), (RESUMED, PLAIN_IDX, GZIP_IDX, FORGED_IDX)
    assert sum(most for _, most in of_one_file) + 2 * sum(most for _, most in of_two) >= 20_000
