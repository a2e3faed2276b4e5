"""The errors for arguments that do not fit."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest

import minnet
from minnet.arguments import (
    cast_array,
    described,
    expect_gradient,
    is_stored,
    named_arrays,
    number,
    plain_array,
    positive_number,
    real_array,
    share,
    signed_number,
    sliceable,
    whole_number,
    writable,
)
from minnet.parts import paired_arrays


@pytest.mark.rows(
    ("value", "text"),
    [
        (3, "3"),
        ("a", "'a'"),
        (None, "None"),
        (np.ones((1797, 64)), "an array of shape (1797, 64)"),
        (np.float32(0.5), "np.float32(0.5)"),
        ("x" * 100, "'" + "x" * 79 + "..."),
        (["a\nb", 1], r"['a\nb', 1]"),
    ],
)
def test_a_value_is_described_in_a_line(value, text):
    assert described(value) == text


def test_a_large_model_is_described_in_a_line():
    text = described(minnet.Sequential(*[minnet.Linear(3, 3) for _ in range(9)]))
    assert text.startswith("Sequential( 0: Linear(3, 3) 1: Linear(3, 3) ") and len(text) <= 83 and "\n" not in text


def test_errors_name_arrays_by_their_shape():
    with pytest.raises(TypeError, match=r"got an array of shape \(5, 2\)$"):
        whole_number("me", "size", np.ones((5, 2)), least=0)
    with pytest.raises(TypeError, match=r"got an array of shape \(5, 2\)$"):
        number("me", "rate", np.ones((5, 2)))


@pytest.mark.rows("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_is_an_int(value):
    assert whole_number("me", "size", value, least=3) == 3
    assert type(whole_number("me", "size", value, least=3)) is int


@pytest.mark.rows("value", [3.0, "3", None, True, np.float32(3), np.array([3])])
def test_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"me: expected size to be an int, got "):
        whole_number("me", "size", value, least=0)


def test_a_whole_number_that_is_too_small_is_refused_by_name():
    with pytest.raises(ValueError, match="me: expected size to be at least 1, got 0"):
        whole_number("me", "size", 0, least=1)


every_kind_of_number = pytest.mark.rows("kind", [number, signed_number, positive_number, share])


@every_kind_of_number
@pytest.mark.rows("value", [0.5, np.float32(0.5), np.array(0.5), Fraction(1, 2)])
def test_a_number_is_a_float(kind, value):
    assert kind("me", "rate", value) == 0.5
    assert type(kind("me", "rate", value)) is float


@every_kind_of_number
@pytest.mark.rows("value", ["0.5", None, True, np.True_, np.array([0.5, 0.5]), np.array([0.5]), 1j, np.complex64(1)])
def test_what_is_no_number_is_refused_by_name(kind, value):
    with pytest.raises(TypeError, match="me: expected rate to be a number, got "):
        kind("me", "rate", value)


@pytest.mark.rows("value", [-0.1, math.nan, math.inf, -math.inf])
def test_a_number_out_of_range_is_refused_by_name(value):
    with pytest.raises(ValueError, match="me: expected rate to be at least 0 and finite, got "):
        number("me", "rate", value)
    with pytest.raises(ValueError, match="me: expected rate to be at least 0 and below 1, got 1"):
        number("me", "rate", 1.0, below=1.0)


@pytest.mark.rows(
    ("kind", "limits", "inside", "outside"),
    [
        (signed_number, "to be finite", [-1e300, 0, 1e300], []),
        (positive_number, "to be above 0 and finite", [5e-324, 1e300], [0, -0.0, -1]),
        (share, "from 0 to 1", [0, 1], [-1e-9, 1.0000001, 5]),
    ],
)
def test_numbers_of_other_limits_are_refused_by_name_outside_of_them(kind, limits, inside, outside):
    assert [kind("me", "rate", value) for value in inside] == inside
    for value in [*outside, math.nan, math.inf, -math.inf]:
        with pytest.raises(ValueError, match=f"me: expected rate {limits}, got "):
            kind("me", "rate", value)


def test_a_gradient_is_an_array_of_the_shape_of_y():
    layer = minnet.Linear(3, 2)
    expect_gradient(layer, np.ones((4, 2)), (4, 2))
    with pytest.raises(ValueError, match=r"^Linear\(3, 2\): expected dy of shape \(4, 2\), like y, got \[\[1, 2\]\]$"):
        expect_gradient(layer, [[1, 2]], (4, 2))
    with pytest.raises(ValueError, match=r"of shape \(4, 2\), like y, got an array of shape \(1, 2\)$"):
        expect_gradient(layer, np.ones((1, 2)), (4, 2))


@pytest.mark.rows("data", [True, 1, 1.5, [1, 2.5], np.ones(2, np.float16), np.ones(2, np.uint8)])
def test_real_numbers_are_an_array(data):
    array = real_array("me", data)
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, data)


@pytest.mark.rows("data", ["a", [1j], [None], np.array(["1"]), np.array([1], object), np.datetime64("2000")])
def test_what_is_not_real_is_refused_by_name(data):
    with pytest.raises(TypeError, match="me: expected real numbers, got an array of dtype "):
        real_array("me", data)


class Sparse:
    """A sparse matrix, as SciPy's: NumPy makes one object of it."""

    ndim, shape, dtype = 2, (2, 2), np.dtype(float)

    def toarray(self):
        return np.eye(2)

    def __getitem__(self, rows):
        return self


class Frame:
    """A DataFrame, as pandas': columns of different dtypes become an array of objects."""

    def __init__(self, columns):
        self.columns, self.dtypes = list(columns), [np.asarray(values).dtype for values in columns.values()]
        self.rows = list(zip(*columns.values()))
        self.shape, self.iloc = (len(self.rows), len(columns)), self.rows

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype if len(set(self.dtypes)) == 1 else object)


class Stored:
    """An array in a file, as h5py's or zarr's."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        return self.array[rows]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the whole of it was read")


class Series(Stored):
    """A Series, as pandas': its rows are found by labels, and by place in iloc."""

    iloc = ()


class Elsewhere(Stored):
    """An array of another library, as JAX's."""

    def __dlpack__(self):
        raise NotImplementedError


class Missing:
    """A missing value, as pandas.NA."""


MASKED = np.ma.masked_equal([[1.0, -999.0]], -999.0)

# What an array would lose or can't hold, the error, and the words that say what to do.
LOST = {
    "a mask": (MASKED, TypeError, "mask would be lost.*filled.*leave masked rows out.*sample_weight of 0"),
    "a mask of rows": ([MASKED[0], MASKED[0]], TypeError, "mask would be lost"),
    "a masked number": ([1.0, np.ma.masked], TypeError, "mask would be lost"),
    "a sparse matrix": (Sparse(), TypeError, r"sparse Sparse; call its \.toarray\(\)"),
    "sparse rows": ([Sparse(), Sparse()], TypeError, r"\.toarray\(\)"),
    "two inputs": ((np.ones((2, 3)), np.ones((2, 3))), TypeError, "tuple of 2 arrays; if they are rows, .*np.stack"),
    "two inputs of ids": ((np.ones(2, int), np.ones(2, int)), TypeError, "tuple of 2 arrays"),
    "uneven rows": ([[1, 2], [3]], ValueError, r"\(2,\) in row 0 and \(1,\) in row 1$"),
    "a number among rows": ([[1], 2], ValueError, r"\(1,\) in row 0 and \(\) in row 1$"),
    "uneven rows of rows": ([[[1], [2]], [[1], [2, 3]]], ValueError, r"\(1,\) in row 1, 0 and \(2,\) in row 1, 1$"),
    "uneven arrays": ([np.ones((2, 3)), np.ones((2, 4))], ValueError, r"\(2, 3\) in row 0 and \(2, 4\) in row 1$"),
    "rows as objects": (np.array([[1], [2, 3]], object), TypeError, "object with list in it; .*one length.*np.stack"),
    "yes and no beside floats": (Frame({"a": [0.5], "b": [True]}), TypeError, r"bool, float in it; call its \.astype"),
    "texts beside floats": (
        Frame({"a": [0.5], "city": ["A"]}),
        TypeError,
        "float, str in it, in the columns city; make texts one-hot",
    ),
    "missing values": (
        np.array([1, Missing()], object),
        TypeError,
        r"Missing, int in it; fill in or drop what is missing, then call its \.astype\(float\)$",
    ),
    "nothing": (None, TypeError, "None$"),
}


@pytest.mark.rows("name", [*LOST])
def test_what_an_array_would_lose_is_refused_with_what_to_do(name):
    data, error, text = LOST[name]
    with pytest.raises(error, match=f"^me: expected x to be an array.* got .*{text}"):
        plain_array("me", "x", data)
    with pytest.raises(error, match=f"^me: expected real numbers.* got .*{text}"):
        real_array("me", data)


@pytest.mark.rows(
    ("data", "text"),
    [
        (["yes", "no"], "<U3; .* number labels with np.unique"),
        (np.array(["yes", "no"], object), "str in it; .* number labels with np.unique"),
        ([1j], "complex128; take the real and the imaginary parts"),
        (np.array(["2000-01-01"], "M8[D]"), "make numbers of the times"),
        (np.array([3], "m8[D]"), "make numbers of the times"),
        (np.zeros(1, [("a", float)]), "make one array of its fields"),
    ],
)
def test_other_arrays_are_plain_but_not_real_and_the_error_says_what_to_do(data, text):
    assert plain_array("me", "x", data).shape == np.shape(data)
    with pytest.raises(TypeError, match=f"^me: expected real numbers, got an array of dtype .*{text}"):
        real_array("me", data)


@pytest.mark.rows(
    "data",
    [
        np.ma.array([[1.0, 2.0]]),
        Frame({"a": [1.0], "b": [2.0]}),
        [np.array([1.0, 2.0])],
        ((1.0, 2.0),),
        (range(1, 3),),
        np.array([[1.0, 2.0]]).view(np.recarray),
        (np.float64(1.0), np.float64(2.0)),
    ],
)
def test_what_loses_nothing_is_an_array(data):
    for array in (plain_array("me", "x", data), real_array("me", data)):
        assert type(array) is np.ndarray
        assert array.reshape(-1).tolist() == [1, 2]


def test_an_array_is_left_as_it_is():
    x = np.ones((2, 3))
    assert plain_array("me", "x", x) is x and real_array("me", x) is x and sliceable("me", "x", x) is x


def test_other_errors_of_an_array_of_ones_own_stay_as_they_are():
    class OnADevice:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("call .detach() first")

    with pytest.raises(RuntimeError, match=r"^call \.detach\(\) first$"):
        plain_array("me", "x", OnADevice())

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise ValueError("no memory for that")

    for data in (Broken(), [Broken(), Broken()]):
        with pytest.raises(ValueError, match=r"^me: expected x to be an array.* no memory for that$"):
            plain_array("me", "x", data)


def test_what_is_read_in_slices_is_not_read_as_a_whole():
    stored = Stored(np.ones((4, 2)))
    assert is_stored(stored) and sliceable("me", "x", stored) is stored
    x, y = paired_arrays("me", stored, [1, 2, 3, 4])
    assert x is stored and y.tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"one row for each sample, got shapes \(4, 2\) and \(1,\)"):
        paired_arrays("me", stored, [1])


@pytest.mark.rows(
    "data",
    [
        np.ones((4, 2)),
        [[1.0]],
        1.0,
        np.float64(1),
        np.str_("ab"),
        Sparse(),
        Frame({"a": [1.0]}),
        Series(np.ones(3)),
        Elsewhere(np.ones(3)),
        MASKED,
    ],
)
def test_what_lies_in_memory_is_not_stored(data):
    assert not is_stored(data)


def test_an_array_that_can_be_written_to_is_left_and_of_others_there_is_a_copy():
    array, constant = np.zeros(3), np.zeros((2, 3), order="F")
    assert writable(array) is array
    constant.flags.writeable = False
    copy = writable(constant)
    copy += 1
    assert not constant.any() and copy.flags.f_contiguous
    scalar = writable(np.float32(2))
    scalar += 1
    assert scalar.shape == () and scalar == 3 and scalar.dtype == np.float32


def test_a_memory_map_can_be_written_to_if_its_file_can(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    for mode, same in (("r", False), ("r+", True)):
        file = np.load(tmp_path / "x.npy", mmap_mode=mode)
        assert (writable(file) is file) is same
        writable(file)[0] += 1
    assert np.load(tmp_path / "x.npy").tolist() == [1, 0, 0]


@pytest.mark.rows("name", ["a mask", "a sparse matrix", "uneven rows", "nothing"])
def test_a_state_of_what_are_no_arrays_is_refused_by_name(name):
    data, error, text = LOST[name]
    with pytest.raises(error, match=f"^me: expected 0.W to be an array.*{text}"):
        named_arrays("me", {"0.W": data})


@pytest.mark.rows(
    ("values", "dtype", "lost"),
    [
        ([1.0, 1e300, -1e300], np.float32, r"1e\+300"),
        ([70000], np.float16, "70000"),
        ([1.0, 0.5], np.int64, "0.5"),
        ([1.0, np.nan], np.int64, "nan"),
        ([1, 1234567890123], np.int32, "1234567890123"),
        ([1, -1], np.uint8, "-1"),
    ],
)
def test_a_value_that_a_dtype_cannot_hold_is_named_with_no_flag_of_the_processor(monkeypatch, values, dtype, lost):
    monkeypatch.setattr(np, "errstate", lambda **kinds: warnings.catch_warnings(action="ignore"))  # as in WebAssembly
    with pytest.raises(ValueError, match=f"^me: expected values that {np.dtype(dtype)} can hold, got {lost}$"):
        cast_array("me", np.array(values), np.dtype(dtype))


@pytest.mark.rows(
    ("values", "dtype"),
    [
        ([1.5, np.nan, np.inf, -np.inf], np.float32),
        ([0.1, 1e-300], np.float32),
        ([3, 2**40], np.float32),
        ([3.0, -4.0], np.int32),
        ([True], np.float16),
    ],
)
def test_values_that_a_dtype_can_hold_are_cast_up_to_rounding(values, dtype):
    cast = cast_array("me", np.array(values), np.dtype(dtype))
    assert cast.dtype == dtype and np.allclose(cast, values, equal_nan=True)


def test_an_array_of_the_dtype_is_not_copied():
    x = np.ones(3)
    assert cast_array("me", x, x.dtype) is x
