"""Data of several inputs: x as a tuple of arrays, wherever data go in."""

import itertools
import re

import numpy as np
import pytest

from minnet import (
    Adam,
    Batches,
    CheckpointError,
    Embedding,
    LastStep,
    Layer,
    Linear,
    MeanSquaredError,
    Padded,
    Parallel,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    accuracy,
    check_layer,
    diagnose,
    evaluate,
    fit,
    predict,
    summary,
    train_test_split,
)
from minnet.parts import is_several

RNG = np.random.default_rng(0)
N = 50
PICTURE, TABLE = RNG.normal(size=(N, 2, 2)).astype("f4"), RNG.normal(size=(N, 3)).astype("f4")
IDS, LENGTHS = RNG.integers(0, 7, (N, 5)), RNG.integers(0, 6, N)
Y = (PICTURE[:, 0, 0] + TABLE[:, 1] > 0).astype(int)


class Both(Layer):
    """A layer of a user's, with two inputs: the sum of a picture's pixels beside a table."""

    def forward(self, x):
        picture, table = x
        self.cache = picture.shape
        return np.hstack([picture.reshape(len(picture), -1), table])

    def backward(self, dy):
        return dy[:, :4].reshape(self.cache), dy[:, 4:]


class Own(Layer):
    """A model of a user's with two inputs and a loss of its own."""

    def __init__(self):
        self.layers = Sequential(Linear(7, 8, rng=0), Tanh(), Linear(8, 2, rng=1))
        self.both, self.loss = Both(), SoftmaxCrossEntropy()

    def forward(self, x, y=None, sample_weight=None):
        return self.loss(self.layers(self.both(x)), y, sample_weight)

    def backward(self):
        self.layers.backward(self.loss.backward())


MODELS = {
    "two inputs": (lambda: Sequential(Both(), Linear(7, 8, rng=0), Tanh(), Linear(8, 2, rng=1)), (PICTURE, TABLE)),
    "branches": (
        lambda: Sequential(Parallel(Sequential(Both2(), Linear(4, 3, rng=0)), Sequential()), Linear(6, 2, rng=1)),
        (PICTURE, TABLE),
    ),
    "ids and lengths": (
        lambda: Sequential(Padded(Embedding(7, 4, rng=0), LastStep()), Linear(4, 2, rng=1)),
        (IDS, LENGTHS),
    ),
}


class Both2(Layer):
    def forward(self, x):
        self.cache = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self.cache)


def classifier(name):
    body, x = MODELS[name]
    return Sequential(*body().layers, SoftmaxCrossEntropy()), x


each_model = pytest.mark.parametrize("name", MODELS)


def part(x, rows):
    return tuple(each[rows] for each in x)


def test_several_inputs_are_a_tuple_of_arrays():
    assert is_several((PICTURE, TABLE)) and is_several((IDS, [3] * N)) and is_several((TABLE,))
    assert not any(is_several(x) for x in (TABLE, [PICTURE, TABLE], ([1, 2], [3, 4]), (1, 2), (), (np.float32(1),) * 2))


def test_batches_hand_out_a_tuple_of_the_same_rows():
    seen = []
    for (ids, lengths), y in Batches((IDS, LENGTHS), Y, 16, rng=0):
        assert len(ids) == len(lengths) == len(y) <= 16
        assert ids.dtype == IDS.dtype and lengths.dtype == LENGTHS.dtype
        for row in zip(ids, lengths, y):
            seen.append((tuple(row[0]), *map(int, row[1:])))
    assert sorted(seen) == sorted((tuple(i), int(n), int(label)) for i, n, label in zip(IDS, LENGTHS, Y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, None])
def test_floating_parts_get_the_dtype_and_integers_stay(dtype):
    (table, ids), _ = next(iter(Batches((TABLE.astype("f8"), IDS), Y, 8, dtype=dtype)))
    assert table.dtype == (np.float64 if dtype is None else dtype) and ids.dtype == IDS.dtype


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_of_a_tuple_are_copies(shuffle):
    x = (PICTURE.copy(), LENGTHS.copy())
    for (picture, lengths), _ in Batches(x, Y, 16, shuffle):
        picture[...], lengths[...] = 0, 0
    assert np.array_equal(x[0], PICTURE) and np.array_equal(x[1], LENGTHS)


def test_drop_last_extra_and_a_transform_see_all_parts():
    def turned(x, rng):
        assert isinstance(rng, np.random.Generator)
        return x[0][:, ::-1], x[1]

    weights = np.arange(N) / 1
    batches = Batches((PICTURE, TABLE), Y, 16, False, drop_last=True, extra=(weights,), transform=turned)
    assert len(batches) == len(list(batches)) == 3
    (picture, table), _, weight = list(batches)[1]
    np.testing.assert_array_equal(picture, PICTURE[16:32, ::-1])
    np.testing.assert_array_equal(table, TABLE[16:32])
    np.testing.assert_array_equal(weight, weights[16:32])


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (
            {"x": (TABLE, IDS[:9])},
            ValueError,
            "expected x[0] and x[1] with as many rows, got (50, 3) and (9, 5)",
        ),
        ({"x": (TABLE, np.float32(1))}, ValueError, "expected x[0] and x[1] with as many rows, got (50, 3) and ()"),
        ({"y": Y[:9]}, ValueError, "expected x[0] and y with one row for each sample, got shapes (50, 3) and (9,)"),
        (
            {"x": (TABLE, np.array(["a"] * N))},
            TypeError,
            "x[1]: expected real numbers, got an array of dtype <U1",
        ),
        ({"transform": lambda x, rng: x[0]}, ValueError, "expected transform to give a tuple of 2 parts, got an array"),
        ({"transform": lambda x, rng: (x[0], x[1][1:])}, ValueError, "expected transform to give 8 rows for x (8, 5)"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_their_number(given, error, told):
    with pytest.raises(error, match=re.escape(told)):
        next(iter(Batches(**{"x": (TABLE, IDS), "y": Y, "batch_size": 8} | given)))


def test_a_split_keeps_the_rows_of_all_parts_together():
    (a, b), (a_test, b_test), y, y_test = train_test_split((TABLE, LENGTHS), Y, rng=0)
    x, x_test, *_ = train_test_split(TABLE, Y, rng=0)
    np.testing.assert_array_equal(a, x)
    np.testing.assert_array_equal(a_test, x_test)
    assert (
        sorted(zip(a[:, 0].tolist(), b.tolist(), y.tolist()))
        + sorted(zip(a_test[:, 0].tolist(), b_test.tolist(), y_test.tolist()))
        != []
        and len(b) + len(b_test) == N
    )


@each_model
def test_a_model_of_several_inputs_is_trained_measured_and_predicts(name):
    model, x = classifier(name)
    history = fit(
        model, Adam(model.parameters(), 0.02), Batches(x, Y, 16, rng=0), 30, validation=(x, Y), progress=False
    )
    assert history["loss"][-1] < 0.97 * history["loss"][0]
    p = predict(model, x, batch_size=7)
    assert p.shape == (N, 2)
    measured = evaluate(model, Batches(x, Y, 9), {"right": accuracy})
    assert measured["right"] == pytest.approx(measured["accuracy"]) == pytest.approx(accuracy(Y, p))
    assert measured["loss"] == pytest.approx(evaluate(model, (x, Y))["loss"]) == pytest.approx(history["val_loss"][-1])
    one_by_one = np.concatenate([predict(model, part(x, slice(i, i + 1))) for i in range(N)])
    np.testing.assert_allclose(p, one_by_one, rtol=1e-4, atol=1e-6)


def test_a_model_of_ones_own_takes_tuples_with_weights():
    model, weights = Own(), RNG.random(N)
    fit(model, Adam(model.parameters(), 0.05), ((PICTURE, TABLE), Y, weights), 40, progress=False)
    assert evaluate(model, ((PICTURE, TABLE), Y, weights))["accuracy"] > 0.9
    batched = [(part((PICTURE, TABLE), slice(i, i + 8)), Y[i : i + 8], weights[i : i + 8]) for i in range(0, N, 8)]
    whole = evaluate(model, ((PICTURE, TABLE), Y, weights))
    assert evaluate(model, batched) == pytest.approx(whole, rel=1e-5)


def test_tuples_of_batches_are_not_taken_for_a_tuple_of_inputs():
    model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    two = ((TABLE[:20], Y[:20]), (TABLE[20:], Y[20:]))
    assert evaluate(model, two)["loss"] == pytest.approx(evaluate(model, (TABLE, Y))["loss"], rel=1e-5)


@each_model
def test_a_run_goes_on_from_its_checkpoint_bit_for_bit(name, tmp_path):
    def run(epochs, path):
        model, x = classifier(name)
        fit(model, Adam(model.parameters(), 0.02), Batches(x, Y, 16, rng=0), epochs, progress=False, checkpoint=path)
        return model.state_dict()

    whole = run(4, tmp_path / "whole.npz")
    run(2, tmp_path / "parted.npz")
    parted = run(4, tmp_path / "parted.npz")
    assert all(np.array_equal(whole[each], parted[each]) for each in whole)


def test_a_checkpoint_of_other_inputs_is_refused(tmp_path):
    model, x = classifier("two inputs")
    arguments = {"epochs": 1, "progress": False, "checkpoint": tmp_path / "run.npz"}
    fit(model, Adam(model.parameters()), Batches(x, Y, 16, rng=0), **arguments)
    other, x = classifier("two inputs")
    with pytest.raises(CheckpointError, match=re.escape("50 samples of (2, 2) and (3,)")):
        fit(other, Adam(other.parameters()), Batches(part(x, slice(40)), Y[:40], 16, rng=0), **arguments)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (0, "train's x[0] to be finite, got nan in row 7, column (0, 1)"),
        (1, "train's x[1] to be finite, got nan in row 7, column"),
    ],
)
def test_what_is_not_finite_is_told_with_its_part(place, told):
    model, x = classifier("two inputs")
    bad = [each.copy() for each in x]
    bad[place][7].flat[1] = np.nan
    for data in (Batches(tuple(bad), Y, 16), (tuple(bad), Y)):
        with pytest.raises(ValueError, match=re.escape(told)):
            fit(model, Adam(model.parameters()), data, 1, progress=False)
    with pytest.raises(ValueError, match=re.escape(f"x[{place}] of batch 1 of train to be finite")):
        fit(model, Adam(model.parameters()), [(tuple(bad), Y)], 1, progress=False)


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (
            ((PICTURE, TABLE[:9]), Y),
            "to have as many rows, got shapes (50, 2, 2) and (9, 3) and (50,)",
        ),
        (((PICTURE, TABLE), Y[:9]), "expected x[0], x[1], y to have as many rows"),
        (((PICTURE[:0], TABLE[:0]), Y[:0]), "expected at least one row"),
        (
            ([PICTURE, TABLE], Y),
            "expected x to be an array with rows of one shape, got (50, 2, 2) in row 0 and (50, 3) in row 1",
        ),
    ],
)
def test_batches_that_do_not_fit_are_refused_by_part(batch, told):
    model, _ = classifier("two inputs")
    for measure in (lambda: evaluate(model, [batch]), lambda: fit(model, Adam(model.parameters()), [batch], 1)):
        with pytest.raises((ValueError, TypeError), match=re.escape(told)):
            measure()


def test_two_rows_are_not_two_inputs_nor_two_inputs_rows():
    model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    for x in ((TABLE[0], TABLE[1]), (TABLE, TABLE)):
        with pytest.raises(TypeError, match=r"got a tuple of 2 arrays; if they are rows, call np\.stack"):
            predict(model, x)
    with pytest.raises(ValueError, match=r"predict: expected x to be an array with rows of one shape"):
        predict(classifier("two inputs")[0], [PICTURE, TABLE])
    with pytest.raises(ValueError, match=re.escape("predict: expected x[0] and x[1] with as many rows, got (50")):
        predict(classifier("two inputs")[0], (PICTURE, TABLE[:9]))


@each_model
def test_summary_and_diagnose_take_the_tuple(name):
    model, x = classifier(name)
    told = summary(model, x)
    assert all(row.shape is not None for row in told.rows)
    by_shapes = summary(model, tuple(each.shape[1:] for each in x))
    assert str(by_shapes).splitlines()[1] == str(told).splitlines()[1]
    report = str(diagnose(model, x, Y))
    assert "wrong" not in report and "same" not in report


def test_diagnose_names_the_part_that_is_too_large():
    model, _ = classifier("two inputs")
    report = str(diagnose(model, (PICTURE, 1000 * TABLE), Y))
    assert "the size of x[1] is" in report and "the size of x[0]" not in report
    same = (np.zeros_like(PICTURE), np.ones_like(TABLE))
    assert "all 50 samples of x are the same" in str(diagnose(model, same, Y))
    assert "all 50 samples" not in str(diagnose(model, (same[0], TABLE), Y))
    with pytest.raises(ValueError, match=re.escape("got shapes (50, 2, 2) and (9, 3) and (50,)")):
        diagnose(model, (PICTURE, TABLE[:9]), Y)


@each_model
def test_check_layer_takes_the_tuple(name):
    model, x = classifier(name)
    assert check_layer(model, part(x, slice(6)), Y[:6])


def test_an_error_inside_shows_what_the_tuple_had():
    model = Sequential(Parallel(Linear(4, 3), ReLU()), MeanSquaredError())
    with pytest.raises(ValueError, match=re.escape("given a tuple of shape (50, 3), shape (50, 2, 2) by the input")):
        model((TABLE, PICTURE), Y)


def test_steps_without_an_end_take_tuples():
    model, x = classifier("two inputs")
    endless = ((part(x, slice(i, i + 8)), Y[i : i + 8]) for i in itertools.cycle(range(0, 40, 8)))
    history = fit(model, Adam(model.parameters()), endless, 3, steps_per_epoch=4, progress=False)
    assert len(history["loss"]) == 3


def test_targets_in_a_list_go_with_a_tuple_of_arrays():
    model, x = classifier("two inputs")
    assert evaluate(model, (x, Y.tolist())) == evaluate(model, (x, Y))
    fit(model, Adam(model.parameters()), (x, Y.tolist()), 1, progress=False)


def test_a_value_too_large_is_told_with_its_part():
    for x in ((TABLE, np.full((N, 1), 1e300)), (np.full((N, 1), 1e300), TABLE)):
        with pytest.raises(ValueError, match=rf"^Batches: x\[{int(x[0] is TABLE)}\]: expected values that float32 can"):
            next(iter(Batches(x, Y, 8)))
