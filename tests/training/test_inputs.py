"""What fit, evaluate and predict let in: the checks one by one, and what they cost."""

import tracemalloc

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, Layer, Linear, MeanSquaredError, ReLU, Sequential, SoftmaxCrossEntropy
from minnet.training.inputs import (
    CHUNK,
    batched,
    check_batches,
    check_finite,
    check_metrics,
    check_optimizers,
    check_values,
    checked,
)

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])


class Walked(list):
    """A list that counts its walks, so one that fit may not look at."""

    walks = 0

    def __iter__(self):
        self.walks += 1
        return super().__iter__()


class Once:
    """Batches that can be walked once, from behind a method."""

    def __init__(self, batches):
        self.left = list(batches)

    def __iter__(self):
        while self.left:
            yield self.left.pop(0)


def classifier():
    return Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())


def fit(train, **others):
    model = classifier()
    return minnet.fit(model, SGD(model.parameters(), lr=0.1), train, 3, **others)


@pytest.mark.parametrize(
    "place", [(0, 0), (1, 1), (CHUNK // 2 - 1, 1), (CHUNK // 2, 0), (CHUNK // 2 + 1, 0), (CHUNK + 2, 1)]
)
def test_what_is_not_finite_is_found_in_every_part_that_is_looked_at(place):
    array = np.zeros((CHUNK + 3, 2), np.float32)
    array[place] = np.inf
    with pytest.raises(ValueError, match=rf"expected it to be finite, got inf in row {place[0]}, column {place[1]}$"):
        check_finite("it", array)


def test_the_first_value_that_is_not_finite_is_named():
    array = np.zeros((4, 3))
    array[1, 2], array[2, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"got nan in row 1, column 2$"):
        check_finite("it", array)


def test_one_axis_has_rows_only_and_more_than_two_name_the_whole_place():
    with pytest.raises(ValueError, match=r"got nan in row 2$"):
        check_finite("it", np.array([0.0, 1.0, np.nan]))
    with pytest.raises(ValueError, match=r"got -inf in row 1, column \(0, 1\)$"):
        check_finite("it", np.array([[[0.0, 0.0]], [[0.0, -np.inf]]]))
    with pytest.raises(ValueError, match="got nan in row 0"):
        check_finite("it", np.nan)


def test_rows_larger_than_a_chunk_are_looked_at_one_by_one():
    array = np.zeros((3, CHUNK + 1), np.float32)
    array[2, CHUNK] = np.nan
    with pytest.raises(ValueError, match=f"got nan in row 2, column {CHUNK}$"):
        check_finite("it", array)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2]]),
        np.array([[True]]),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.zeros(()),
        np.full((2, 2), np.finfo(np.float32).max, np.float32),
        np.array(["nan"]),
    ],
)
def test_what_is_finite_or_no_float_passes(array):
    check_finite("it", array)


def test_looking_at_large_data_takes_little_memory():
    array = np.zeros((8 * CHUNK, 2), np.float32)
    tracemalloc.start()
    try:
        check_finite("it", array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * CHUNK < array.nbytes / 8


def test_lists_are_looked_at_before_the_training_and_not_again():
    assert (
        check_values("train", [(X, Y)]) and check_values("train", ((X, Y),)) and check_values("train", Batches(X, Y, 2))
    )
    train, validation = Walked([(X, Y)]), Walked([(X, Y)])
    assert not check_values("train", train) and train.walks == 0
    fit(train, validation=validation)
    assert (train.walks, validation.walks) == (3, 3)


def test_what_is_walked_lazily_is_looked_at_in_the_first_epoch_only(monkeypatch):
    looked = []
    monkeypatch.setattr("minnet.training.inputs.check_finite", lambda name, array: looked.append(name))
    fit(Walked([(X, Y), (X, Y)]), validation=Walked([(X, Y)]))
    assert looked == [f"{part} of batch {i} of train" for i in (1, 2) for part in "xy"] + [
        f"{part} of batch 1 of validation" for part in "xy"
    ]


def test_data_that_can_be_walked_once_end_the_training_with_a_sentence():
    with pytest.raises(ValueError, match="fit: expected train to have at least one batch, got none"):
        fit(Once([(X, Y)]))


def test_a_batch_that_is_checked_is_handed_on_as_it_is():
    batches = [(X, Y), [X, Y, np.ones(5)]]
    for came, was in zip(checked("train", batches), batches, strict=True):
        assert came is was


def test_batches_are_counted_on_from_those_that_are_done():
    with pytest.raises(ValueError, match="batch 4 of train"):
        list(checked("train", [(X, Y), (X, Y[:1])], done=2))


def test_lists_of_numbers_are_batches_too():
    assert fit([(X.tolist(), Y.tolist())])["loss"] == pytest.approx(fit([(X, Y)])["loss"], rel=1e-6)


def test_integer_and_boolean_data_are_let_in():
    assert len(fit([(X.astype(int), Y.astype(np.uint8))])["loss"]) == 3
    assert len(fit(Batches(X > 0, Y, 2))["loss"]) == 3


def test_a_single_batch_of_all_samples_is_enough():
    assert len(fit(Batches(X, Y, 5))["loss"]) == 3
    with pytest.raises(ValueError, match=r"batch_size=6 samples, got 5; choose a smaller batch_size"):
        fit(Batches(X, Y, 6))


def test_validation_may_be_smaller_than_a_batch():
    assert len(fit(Batches(X, Y, 5), validation=Batches(X[:2], Y[:2], 64))["val_loss"]) == 3


def test_an_optimizer_of_a_part_of_the_model_is_let_in():
    model = Sequential(Linear(2, 4, rng=0), Linear(4, 3, rng=1), SoftmaxCrossEntropy())
    minnet.fit(model, SGD(model[1].parameters(), lr=0.1), [(X, Y)], 1)


def test_a_layer_of_ones_own_needs_no_loss_at_its_end():
    class Line(Layer):
        def __init__(self):
            self.inner = Sequential(Linear(2, 1, rng=0), MeanSquaredError())

        def forward(self, x, y=None):
            return self.inner(x, y)

        def backward(self):
            self.inner.backward()

    model = Line()
    history = minnet.fit(model, SGD(model.parameters(), lr=0.01), [(X, X[:, :1])], 5)
    assert history["loss"][-1] < history["loss"][0]


def test_evaluate_takes_what_fit_would_use_up():
    check_batches("evaluate", "data", iter([(X, Y)]))
    with pytest.raises(TypeError, match="list_iterator, which is used up after one; make it a list"):
        check_batches("fit", "train", iter([(X, Y)]), again=True)


def test_metrics_are_any_mapping_of_names_to_what_can_be_called():
    check_metrics("fit", {})
    check_metrics("fit", {"a": minnet.accuracy, "b": float, "val_loss": max})


WEIGHTS = np.array([1.0, 0.5, 2.0, 1.0, 0.0])


def test_arrays_in_a_tuple_are_batches_as_they_would_be_written_out():
    arrays, batches = classifier(), classifier()
    minnet.seed(1)
    minnet.fit(arrays, SGD(arrays.parameters(), 0.1), (X, Y, WEIGHTS), 3, (X, Y), progress=False)
    minnet.seed(1)
    train = Batches(X, Y, 5, extra=(WEIGHTS,))
    minnet.fit(batches, SGD(batches.parameters(), 0.1), train, 3, [(X, Y)], progress=False)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(arrays.parameters(), batches.parameters()))


def test_many_rows_are_trained_on_in_batches_of_32_and_measured_in_slices_of_256():
    x, y = np.zeros((600, 2)), np.zeros(600, int)
    assert [len(rows) for rows, _ in batched("fit", "train", (x, y), ReLU(), training=True)] == [32] * 18 + [24]
    assert [len(rows) for rows, _ in batched("fit", "validation", (x, y), ReLU())] == [256, 256, 88]
    ordered = np.arange(1200.0).reshape(600, 2)
    assert np.array_equal(np.concatenate([rows for rows, _ in batched("fit", "data", (ordered, y), ReLU())]), ordered)


@pytest.mark.parametrize(
    ("x", "dtype"), [(X, "float32"), (X.astype(np.float64), "float32"), (Y[:, None], "int64"), (X > 0, "float32")]
)
def test_integers_stay_integers_and_all_else_becomes_float32(x, dtype):
    ((rows, labels),) = batched("fit", "train", (x, Y), ReLU())
    assert rows.dtype == dtype and labels.dtype == Y.dtype


def test_tokens_in_an_array_are_trained_on_as_ids():
    ids = np.array([[0, 1], [2, 3], [1, 0], [3, 2]])
    model = Sequential(minnet.Embedding(4, 3, rng=0), minnet.Flatten(), Linear(6, 2, rng=1), SoftmaxCrossEntropy())
    history = minnet.fit(model, SGD(model.parameters(), 0.5), (ids, np.array([0, 1, 0, 1])), 30, progress=False)
    assert history["loss"][-1] < history["loss"][0] / 2


STAY = {
    "a tuple of pairs": ((X, Y), (X, Y)),
    "a tuple of three pairs": ((X, Y),) * 3,
    "a tuple of lists": ([X, Y], [X, Y]),
    "a tuple of rows in lists": (X.tolist(), Y.tolist()),
    "one pair": ((X, Y),),
    "four arrays": (X, Y, Y, Y),
    "a list of arrays": [X, Y],
    "batches": Batches(X, Y, 2),
    "nothing": None,
}


@pytest.mark.rows("data", STAY.values(), ids=STAY)
def test_what_is_no_tuple_of_two_or_three_arrays_stays_what_it_is(data):
    assert batched("fit", "train", data, ReLU()) is data


def test_a_tuple_of_two_batches_is_trained_on_as_two_batches():
    tupled, listed = classifier(), classifier()
    for model, train in ((tupled, ((X, Y), (X[:2], Y[:2]))), (listed, [(X, Y), (X[:2], Y[:2])])):
        minnet.fit(model, SGD(model.parameters(), 0.1), train, 2, progress=False)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(tupled.parameters(), listed.parameters()))


def test_whatever_has_a_shape_is_an_array():
    class Frame:
        """As a data frame: no array, but made into one."""

        def __init__(self, array):
            self.array, self.shape = array, array.shape

        def __array__(self, dtype=None, copy=None):
            return self.array.astype(dtype or self.array.dtype)

    ((x, y),) = batched("fit", "train", (Frame(X), Frame(Y)), ReLU())
    assert np.array_equal(x, X) and np.array_equal(y, Y)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((X, Y[:2]), r"shapes \(5, 2\) and \(2,\)"),
        ((X[:0], Y[:0]), "at least one sample"),
        ((X, Y, WEIGHTS[:3]), r"extra\[0\]"),
        ((X, np.array(1)), "one row for each sample"),
        ((Y, Y), "with a feature axis"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_told_with_their_place(data, text):
    with pytest.raises(ValueError, match=text) as caught:
        fit(data)
    assert caught.value.__notes__ == ["fit: this was in train"]


def test_optimizers_share_out_the_parameters_of_the_model():
    model = Sequential(Linear(2, 3, rng=0), Linear(3, 3, rng=1), SoftmaxCrossEntropy())
    first, second = SGD(model[0].parameters(), 0.1), SGD(model[1].parameters(), 0.1)
    assert check_optimizers(model, first) == [first] and check_optimizers(model, (first, second)) == [first, second]
    for given in ([first, SGD([model[0].b, *model[1].parameters()], 0.1)], [second, first, first]):
        with pytest.raises(ValueError, match=r"optimizers of different parameters, got 0\.[Wb] in two of them"):
            check_optimizers(model, given)
    with pytest.raises(ValueError, match=r"an Optimizer or a list of several, got \[\]"):
        check_optimizers(model, [])
    with pytest.raises(TypeError, match=r"expected optimizer to be an Optimizer, got 0\.1 among them"):
        check_optimizers(model, [first, 0.1])
    with pytest.raises(ValueError, match="this model's parameters, got one that holds others"):
        check_optimizers(model, [first, SGD([*model[1].parameters(), *classifier().parameters()], 0.1)])


def test_an_optimizer_that_holds_a_frozen_parameter_is_refused():
    model = classifier()
    optimizer = SGD(model.parameters(), 0.1)
    model[0].b.frozen = True
    with pytest.raises(ValueError, match=r"got one that holds 0\.b; make a new optimizer after freeze\(\)"):
        minnet.fit(model, optimizer, [(X, Y)], 1)
    minnet.fit(model, SGD([model[0].W], 0.1), [(X, Y)], 1)


def test_a_part_that_was_unfrozen_later_needs_an_optimizer():
    model = minnet.Sequential(minnet.Linear(2, 2, rng=0), minnet.Linear(2, 2, rng=1), minnet.SoftmaxCrossEntropy())
    model[0].freeze()
    head = minnet.SGD(model.parameters(), 0.1)
    data = [(np.ones((2, 2), np.float32), [0, 1])]
    minnet.fit(model, head, data, 1, progress=False)
    model[0].unfreeze()
    with pytest.raises(ValueError, match=r"expected an optimizer of 0\.W, which was unfrozen after"):
        minnet.fit(model, head, data, 2, progress=False)
    minnet.fit(model, [head, minnet.SGD(model[0].parameters(), 0.01)], data, 2, progress=False)


class InFile:
    """Rows in a file, which are read in slices of at most 1024; without a len, as some have none."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        part = self.array[rows]
        assert isinstance(rows, slice) and len(part) <= 1024
        return part

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the whole file was read")


def test_fit_reads_what_lies_in_a_file_in_slices():
    x, y = np.zeros((2000, 8192), np.float32), np.zeros(2000, int)
    for train in ((InFile(x), InFile(y)), Batches(InFile(x), InFile(y), 32)):
        model = Sequential(Linear(8192, 2, rng=0), SoftmaxCrossEntropy())
        assert len(minnet.fit(model, SGD(model.parameters(), lr=0.1), train, 1, progress=False)["loss"]) == 1
    x[1999, 3] = np.nan
    with pytest.raises(ValueError, match="train's x to be finite, got nan in row 1999, column 3"):
        check_values("train", Batches(InFile(x), InFile(y), 32))


def test_a_part_that_a_callback_unfreezes_needs_an_optimizer():
    model = minnet.Sequential(minnet.Linear(2, 2, rng=0), minnet.Linear(2, 2, rng=1), minnet.SoftmaxCrossEntropy())
    model[0].freeze()
    data = [(np.ones((2, 2), np.float32), [0, 1])]

    def unfreeze(history):
        model[0].unfreeze()

    with pytest.raises(ValueError, match=r"expected an optimizer of 0\.W, which was unfrozen after"):
        minnet.fit(model, SGD(model.parameters(), 0.1), data, 3, on_epoch_end=unfreeze, progress=False)
