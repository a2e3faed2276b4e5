import numpy as np
import pytest

import minnet
from minnet import Standardize, one_hot, pad_sequences


def test_one_hot_rows_are_one_at_the_label():
    result = one_hot([2, 0, 1, 2])
    assert result.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert result.dtype == np.float32


@pytest.mark.rows("dtype", [np.uint8, np.int16, np.uint64])
def test_one_hot_takes_labels_of_any_integer_dtype_and_rank(dtype):
    assert one_hot(np.array([[0, 1], [1, 0]], dtype), 3).tolist() == [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [1, 0, 0]]]
    assert one_hot(dtype(1)).tolist() == [0, 1]
    assert one_hot(np.array([255], np.uint8)).shape == (1, 256)


def test_one_hot_of_no_labels_has_no_rows():
    assert one_hot([], classes=4).shape == (0, 4)


@pytest.mark.rows(
    ("y", "classes", "error", "text"),
    [
        ([0, 3], 3, ValueError, "from 0 to 2, got 0 to 3"),
        ([-1, 1], None, ValueError, "labels of at least 0, got -1$"),
        ([-1], None, ValueError, "labels of at least 0, got -1$"),
        ([5, -2], 3, ValueError, "labels of at least 0, got -2$"),
        ([], None, ValueError, "expected classes"),
        ([0.0, 1.0], None, TypeError, "float64"),
        ([True, False], None, TypeError, "bool"),
        (["0"], None, TypeError, "integer labels"),
        ([0], 0, ValueError, "classes"),
        ([0], 2.0, TypeError, "classes"),
    ],
)
def test_what_are_not_labels_of_these_classes_is_refused(y, classes, error, text):
    with pytest.raises(error, match=f"^one_hot: .*{text}"):
        one_hot(np.array(y), classes)


@pytest.mark.rows("label", [1234567890123, 2**61, 2**63 - 1])
def test_labels_that_are_numbers_of_something_else_are_told_how_to_be_numbered(label):
    with pytest.raises(ValueError, match=rf"^one_hot: expected so few classes .* got {label + 1}; number the labels"):
        one_hot([0, label] * 10_000)


def test_labels_behind_a_mask_are_not_taken_for_labels():
    with pytest.raises(TypeError, match=r"^one_hot: expected y to be an array, got a masked array"):
        one_hot(np.ma.masked_equal([0, 1, 9], 9))


def test_standardized_features_are_in_standard_deviations_from_the_mean():
    x = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0], [7.0, 30.0]])
    scale = Standardize()
    result = scale.fit_transform(x)
    assert scale.mean.tolist() == [4, 30]
    assert scale.std == pytest.approx([5**0.5, 200**0.5], rel=1e-15)
    assert result[:, 0] == pytest.approx([-3 / 5**0.5, -1 / 5**0.5, 1 / 5**0.5, 3 / 5**0.5], rel=1e-15)
    assert result[:, 1] == pytest.approx([-(2**0.5), 0, 2**0.5, 0], rel=1e-15)


def test_the_test_part_is_standardized_by_the_training_part():
    scale = Standardize().fit([[0.0], [2.0]])
    assert scale.transform([[4.0], [1.0]]).tolist() == [[3], [0]]
    assert scale.transform([4.0]).tolist() == [3]
    assert scale.fit([[0.0], [4.0]]).transform([[4.0]]).tolist() == [[1]]


@pytest.mark.rows("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64])
@pytest.mark.rows("value", [0.1, 7, 99.9])
def test_constant_features_become_zero_and_stay_finite(dtype, value):
    scale = Standardize()
    x = np.full((1000, 2), value, dtype)
    x[:, 1] = np.arange(1000) % 2
    assert (scale.fit_transform(x)[:, 0] == 0).all()
    x[0, 0] += 1
    assert np.isfinite(scale.transform(x)).all()


@pytest.mark.rows(
    ("dtype", "expected"),
    [
        (np.float16, np.float16),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.uint8, np.float32),
        (np.int64, np.float32),
        (np.bool_, np.float32),
    ],
)
def test_standardized_floats_keep_their_dtype_and_the_rest_becomes_float32(dtype, expected):
    x = np.array([[0, 1], [1, 1], [1, 0]], dtype)
    scale = Standardize().fit(x)
    assert scale.transform(x).dtype == expected
    assert scale.mean.dtype == scale.std.dtype == np.float64


def test_statistics_are_computed_in_float64():
    x = np.repeat(np.array([[10_000_000.0], [10_000_001.0]], np.float32), 5000, axis=0)
    scale = Standardize().fit(x)
    assert scale.mean == pytest.approx([10_000_000.5], rel=1e-15) and scale.std == pytest.approx([0.5], rel=1e-12)
    assert np.unique(scale.transform(x)).tolist() == [-1, 1]
    half = np.full((3000, 1), 60000, np.float16)
    half[::2] = 59968
    assert Standardize().fit(half).std == pytest.approx([16], rel=1e-12)


@pytest.mark.rows("shape", [(60, 3), (5, 12, 3), (2, 5, 6, 3)])
def test_features_are_on_the_last_axis_whatever_the_rank(shape):
    rows = np.random.default_rng(0).normal(3, 2, (60, 3))
    scale = Standardize()
    result = scale.fit_transform(rows.reshape(shape))
    assert result.shape == shape
    assert np.allclose(result.reshape(60, 3), Standardize().fit_transform(rows), rtol=1e-12, atol=1e-14)
    assert result.reshape(60, 3).mean(axis=0) == pytest.approx(0, abs=1e-14)
    assert result.reshape(60, 3).std(axis=0) == pytest.approx(1, rel=1e-14)


@pytest.mark.rows("chunk", [1, 7, 30, 2**22])
def test_statistics_of_parts_are_those_of_the_whole_and_a_file_is_read_once_in_slices(monkeypatch, stored, chunk):
    monkeypatch.setattr(minnet.data.preprocessing, "CHUNK", chunk)
    rows = np.random.default_rng(0).normal([1e6, 0, 3], [1e-2, 5, 1], (64, 3))
    rows[:, 1] = 0.1
    rows[40:, 2] += 100  # later parts are unlike the first
    data = stored(rows.reshape(16, 4, 3))
    scale = Standardize().fit(data)
    assert sum(stop - start for start, stop in data.read) == 16 + 1  # and the first row once more
    assert scale.mean == pytest.approx(rows.mean(axis=0), rel=1e-14)
    assert scale.std == pytest.approx([rows[:, 0].std(), 1, rows[:, 2].std()], rel=1e-7)
    assert (scale.transform(rows)[:, 1] == 0).all()


def test_a_nan_in_a_later_part_is_refused_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(minnet.data.preprocessing, "CHUNK", 2)
    scale = Standardize().fit([[0.0], [2.0]])
    with pytest.raises(ValueError, match=r"^Standardize: expected x to be finite"):
        scale.fit([[5.0], [6.0], [7.0], [np.nan]])
    assert scale.transform([[2.0]]).tolist() == [[1]]


def test_what_has_been_standardized_batch_by_batch_is_what_transform_gives(stored):
    x = np.random.default_rng(0).normal(3, 2, (20, 4))
    scale = Standardize().fit(stored(x))
    batches = minnet.Batches(
        stored(x), np.arange(20), 8, False, dtype=np.float64, transform=lambda x, rng: scale.transform(x)
    )
    assert np.array_equal(np.concatenate([bx for bx, _ in batches]), scale.transform(x))


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_standardize_writes_into_nothing_and_shares_nothing(dtype):
    x = np.array([[0, 1], [2, 1]], dtype)
    x.flags.writeable = False
    result = Standardize().fit_transform(x)
    assert not np.shares_memory(result, x) and result.flags.writeable


def test_transform_before_fit_is_named():
    with pytest.raises(RuntimeError, match=r"^Standardize: transform before fit"):
        Standardize().transform([[1.0]])


@pytest.mark.rows(
    ("x", "error", "text"),
    [
        ([1.0, 2.0], ValueError, r"shape \(N, ..., D\).*\(2,\)"),
        (3.0, ValueError, r"shape \(N, ..., D\)"),
        (np.zeros((0, 2)), ValueError, r"\(0, 2\)"),
        ([[1.0, np.nan]], ValueError, "finite"),
        ([[1.0, np.inf]], ValueError, "finite"),
        ([[1j, 2]], TypeError, "complex"),
        ([["a"]], TypeError, "real numbers"),
        ([[1.0, 2.0], [3.0]], ValueError, r"rows of one shape, got \(2,\) in row 0 and \(1,\) in row 1"),
        (np.ma.masked_equal([[1.0, -999.0]], -999), TypeError, "mask would be lost"),
    ],
)
def test_x_that_cannot_be_standardized_is_refused_and_changes_nothing(x, error, text):
    scale = Standardize().fit([[0.0, 0.0], [2.0, 2.0]])
    with pytest.raises(error, match=f"^Standardize: .*{text}"):
        scale.fit(x)
    assert scale.transform([[2.0, 4.0]]).tolist() == [[1, 3]]


@pytest.mark.rows("x", [[[1.0, 2.0, 3.0]], [[1.0]], 1.0])
def test_other_features_than_those_fitted_are_refused(x):
    scale = Standardize().fit([[0.0, 0.0], [2.0, 2.0]])
    with pytest.raises(ValueError, match=r"^Standardize: expected x of shape \(..., 2\), got"):
        scale.transform(x)


def test_sequences_are_padded_at_their_ends():
    x, lengths = pad_sequences([[1, 2, 3], [4], [], [5, 6]])
    assert x.tolist() == [[1, 2, 3], [4, 0, 0], [0, 0, 0], [5, 6, 0]]
    assert lengths.tolist() == [3, 1, 0, 2] and lengths.dtype == np.int64
    assert x.dtype == np.array([1]).dtype


def test_padded_sequences_keep_their_other_axes_and_their_dtype():
    parts = [np.ones((2, 3), np.float32), np.full((4, 3), 2, np.float32)]
    x, lengths = pad_sequences(iter(parts), value=-1)
    assert x.shape == (2, 4, 3) and x.dtype == np.float32 and lengths.tolist() == [2, 4]
    assert (x[0, 2:] == -1).all() and (x[1] == 2).all() and (x[0, :2] == 1).all()
    assert pad_sequences([np.ones(2, np.float32), [1, 2, 3]])[0].dtype == np.float64


@pytest.mark.parametrize(
    ("sequences", "error", "told"),
    [
        ([], ValueError, "expected at least one sequence, got none"),
        (
            [[1, 2], 3],
            ValueError,
            r"in their first axis only, got \(2,\) for sequence 0 and \(\) for sequence 1",
        ),
        ([np.ones((2, 3)), np.ones((2, 4))], ValueError, r"got \(2, 3\) for sequence 0 and \(2, 4\) for sequence 1"),
        ([["a"]], TypeError, "pad_sequences: sequence 0: expected real numbers"),
        ([[1], [[1], [2, 3]]], ValueError, "pad_sequences: sequence 1: expected real numbers with rows of one shape"),
    ],
)
def test_what_is_no_sequence_is_not_padded(sequences, error, told):
    with pytest.raises(error, match=told):
        pad_sequences(sequences)


@pytest.mark.parametrize(("dtype", "value"), [(int, 0.5), (int, np.nan), (np.uint8, -1), (np.int8, 128), (bool, 2)])
def test_a_value_that_the_sequences_dtype_cannot_hold_is_refused(dtype, value):
    with pytest.raises(ValueError, match=r"pad_sequences: expected a value that .* can hold, got"):
        pad_sequences([np.zeros(2, dtype), np.zeros(1, dtype)], value)
    assert pad_sequences([np.zeros(2, np.int8), np.zeros(1, np.int8)], 127)[0].tolist() == [[0, 0], [0, 127]]
