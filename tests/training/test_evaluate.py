"""evaluate: figures of the whole data, whatever the batches."""

import gc
import tracemalloc
from functools import partial

import numpy as np
import pytest

import minnet
from minnet import (
    Batches,
    BatchNorm,
    Dropout,
    Layer,
    Linear,
    MeanSquaredError,
    Parameter,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
    predict,
)

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])


class Doubled(Layer):
    """y = 2 x while training, x in evaluation; keeps x."""

    def forward(self, x):
        self.cache = x
        return 2 * x if self.training else x

    def backward(self, dy):
        return 2 * dy


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def in_order(batch_size=2):
    return Batches(X, Y, batch_size, shuffle=False)


def layers(model):
    return list(model.walk(Layer).values())


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def identity():
    """A whole model whose predictions are its input: three scores."""
    model = Sequential(Linear(3, 3, rng=0), SoftmaxCrossEntropy())
    model[0].W.data[...] = np.eye(3)
    return model


@pytest.mark.rows("batch_size", [1, 2, 3, 5, 100])
def test_evaluate_gives_the_figures_of_the_whole_data_whatever_the_batches(batch_size):
    model = Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy())
    x, y = (part[:37] for part in minnet.load_digits())
    result = evaluate(model, Batches(x, y, batch_size))
    assert result["loss"] == pytest.approx(model(x, y), rel=1e-6)
    assert result["accuracy"] == minnet.accuracy(y, model(x))
    assert [type(value) for value in result.values()] == [float, float]


@pytest.mark.rows("batch_size", [1, 2, 5])
def test_evaluate_counts_what_the_loss_ignores_neither_in_the_loss_nor_in_the_accuracy(batch_size):
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy(ignore_index=-1))
    y = np.array([0, -1, -1, 1, -1])
    result = evaluate(model, Batches(X, y, batch_size, shuffle=False))
    assert result["accuracy"] == minnet.accuracy(y[[0, 3]], model(X)[[0, 3]])
    assert result["loss"] == pytest.approx(model(X, y), rel=1e-6)


def test_evaluate_walks_data_that_can_be_walked_once():
    model = classifier()
    assert evaluate(model, iter(in_order())) == evaluate(model, in_order())


def test_evaluate_and_predict_do_not_touch_gradients_or_parameters():
    model = classifier()
    model(X, Y)
    model.backward()
    before, gradients = values(model), [p.grad.copy() for p in model.parameters()]
    evaluate(model, in_order())
    predict(model, X)
    assert values(model) == before
    assert all(np.array_equal(p.grad, g) for p, g in zip(model.parameters(), gradients))


@pytest.mark.rows(
    ("model", "data", "error"),
    [
        ("model", in_order(), TypeError),
        (classifier(), X, TypeError),
        (classifier(), (X, X[:2]), ValueError),
        (classifier(), None, TypeError),
        (classifier(), [], ValueError),
        (Sequential(Linear(2, 3)), in_order(), ValueError),
    ],
)
def test_evaluate_refuses_what_does_not_fit(model, data, error):
    with pytest.raises(error, match=r"evaluate: |loss"):
        evaluate(model, data)


def test_neither_predict_nor_evaluate_keeps_memory():
    model, data = classifier(Doubled()), in_order()
    tracemalloc.start()
    try:
        for _ in range(10):
            predict(model, X, 2), evaluate(model, data)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            predict(model, X, 2), evaluate(model, data)
        gc.collect()
        # Python itself keeps some kB now and then; an array takes more than a hundred bytes.
        assert tracemalloc.get_traced_memory()[0] - before < 500 * 50
    finally:
        tracemalloc.stop()


def test_evaluate_works_in_evaluation_mode_and_changes_no_state():
    model = classifier(BatchNorm(3), Dropout(0.5, rng=1), Doubled())
    before = values(model)
    drawn = model[2].rng.bit_generator.state
    results = evaluate(model, in_order())
    assert values(model) == before and model[2].rng.bit_generator.state == drawn
    # Fresh running statistics are a mean of 0 and a variance of 1.
    scores = (X @ model[0].W.data) / np.sqrt(1 + 1e-5)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert results["loss"] == pytest.approx(-logs[np.arange(5), Y].mean(), rel=1e-5)


def test_metrics_see_all_targets_and_all_predictions_at_once_and_in_order():
    scores = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 1], [5, 0, 0], [0, 0, 2]], np.float32)
    y = np.array([0, 1, 1, 0, 2])
    calls = []

    def share_of_class_0(y_true, y_pred):
        calls.append((y_true, y_pred))
        return np.mean(y_pred.argmax(axis=1)[y_true == 0] == 0)

    metrics = {"right": minnet.accuracy, "of 0": share_of_class_0, "top2": lambda t, p: np.float32(0.25)}
    results = evaluate(identity(), Batches(scores, y, 2, shuffle=False), metrics)
    # Predicted are 0, 1, 2, 0, 2: four of five are right, both of class 0.
    assert results["accuracy"] == results["right"] == 0.8
    assert (results["of 0"], results["top2"]) == (1.0, 0.25)
    assert list(results) == ["loss", "accuracy", "right", "of 0", "top2"]
    assert [type(value) for value in results.values()] == [float] * 5
    ((y_true, y_pred),) = calls
    assert np.array_equal(y_true, y)
    assert y_pred.shape == (5, 3) and y_pred.sum(axis=1) == pytest.approx(1)


@pytest.mark.rows("value", [np.float64(0.5), np.float32(0.5), np.array(0.5), np.int64(1), 1, True, 0.5])
def test_a_metric_may_give_any_kind_of_number(value):
    result = evaluate(classifier(), in_order(), {"m": lambda y_true, y_pred: value})["m"]
    assert type(result) is float and result == float(value)


def test_sequences_of_different_lengths_have_a_loss_and_metrics_are_told_so():
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    data = [(np.ones((2, t, 2), np.float32), np.zeros((2, t), int)) for t in (4, 5)]
    assert evaluate(model, data)["loss"] == pytest.approx(model(*data[0]), rel=1e-6)
    with pytest.raises(ValueError, match=r"evaluate: .*\(2, 4\).*\(2, 5\)"):
        evaluate(model, data, {"m": minnet.accuracy})


def test_the_loss_of_all_is_the_mean_by_weight_and_not_by_batch():
    model = Sequential(MeanSquaredError())
    x, y = np.array([[1.0], [2.0], [5.0]]), np.zeros((3, 1))
    # Errors squared: 1, 4, 25.
    assert evaluate(model, Batches(x, y, 2, shuffle=False))["loss"] == pytest.approx(10.0)
    weights = np.array([2.0, 0.0, 1.0])
    for size in (1, 2, 3):
        data = Batches(x, y, size, shuffle=False, extra=(weights,))
        assert evaluate(model, data)["loss"] == pytest.approx((2 * 1 + 25) / 3)


def test_classes_weigh_as_they_do_in_the_loss():
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy(weight=[1.0, 2.0, 0.5]))
    whole = evaluate(model, in_order(5))["loss"]
    assert whole == pytest.approx(model(X, Y), rel=1e-6)
    for size in (1, 2, 3):
        assert evaluate(model, in_order(size))["loss"] == pytest.approx(whole, rel=1e-6)


def test_samples_count_where_a_model_of_ones_own_tells_no_weights():
    class Given(Layer):
        def __init__(self):
            self.a = Parameter([0.0])

        def forward(self, x, y=None):
            return np.float32(x.mean())

    # Means of 1 and 4, of two samples and of one.
    assert evaluate(Given(), [(np.ones((2, 1)), Y[:2]), (4 * np.ones((1, 1)), Y[:1])])["loss"] == pytest.approx(2.0)


def test_data_that_count_for_nothing_have_a_loss_of_zero():
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy(ignore_index=-1))
    assert evaluate(model, [(X, np.full(5, -1))]) == {"loss": 0.0}


def test_a_metric_that_fails_is_named():
    with pytest.raises(ZeroDivisionError) as caught:
        evaluate(classifier(), [(X, Y)], {"share": lambda y_true, y_pred: 1 / 0})
    assert caught.value.__notes__ == ["evaluate: this was in the metric share"]


def test_an_error_in_a_metric_or_in_the_data_leaves_modes_and_no_cache():
    def broken(y_true, y_pred):
        raise KeyError("a metric")

    def ends():
        yield X, Y
        raise OSError("the disk")

    model = classifier(Doubled())
    model[0].eval()
    modes = [layer.training for layer in layers(model)]
    for error, data, metrics in ((KeyError, in_order(), {"m": broken}), (OSError, ends(), {})):
        with pytest.raises(error):
            evaluate(model, data, metrics)
        assert [layer.training for layer in layers(model)] == modes
        assert not any("cache" in vars(layer) for layer in layers(model))


def test_metrics_get_the_sample_weights_if_they_take_them():
    seen = []

    def weighted(y_true, y_pred, *, sample_weight=None):
        seen.append(None if sample_weight is None else sample_weight.tolist())
        return 1.0

    def plain(y_true, y_pred):
        return 2.0

    metrics = {"weighted": weighted, "plain": plain, "own": partial(weighted, sample_weight=np.zeros(1))}
    evaluate(classifier(), [(X[:2], Y[:2], np.array([1.0, 3.0])), (X[2:3], Y[2:3])], metrics)
    evaluate(classifier(), in_order(), metrics)
    assert seen == [[1.0, 3.0, 1.0], [0.0], None, [0.0]]


class Counted(Layer):
    forwards = 0

    def forward(self, x):
        Counted.forwards += 1
        return x


def test_metrics_cost_a_sequential_no_second_forward():
    model = classifier(Counted())
    plain = evaluate(model, in_order())
    Counted.forwards = 0
    got = evaluate(model, in_order(), {"right": minnet.accuracy})
    assert Counted.forwards == len(in_order())
    assert got == plain | {"right": plain["accuracy"]}


def test_metrics_see_what_the_model_predicts_also_if_it_is_ones_own():
    class Own(Layer):
        def __init__(self):
            self.inner = classifier()

        def forward(self, x, y=None):
            return 7 + self.inner(x) if y is None else self.inner(x, y)

    got = evaluate(Own(), in_order(), {"least": lambda y_true, y_pred: y_pred.min()})
    assert got["least"] >= 7


def test_a_pair_of_arrays_is_evaluated_in_slices():
    assert evaluate(classifier(), (X, Y)) == evaluate(classifier(), [(X, Y)])


def test_metrics_change_nothing_of_the_loss_and_accuracy_of_a_model_of_ones_own():
    class Own(Layer):
        def __init__(self):
            self.body, self.loss = Linear(2, 3, rng=0), SoftmaxCrossEntropy()

        def forward(self, x, *targets):
            return self.loss(self.body(x), *targets)

    weights = np.arange(1, 6, dtype=np.float32)
    batches = [(X[:1], Y[:1], weights[:1]), (X[1:], Y[1:], weights[1:])]
    with_metric = evaluate(Own(), batches, metrics={"rows": lambda y, p: len(y)})
    assert with_metric == evaluate(Own(), batches) | {"rows": 5}


def test_metrics_see_every_batch_of_data_and_models_that_write_each_into_the_same_array():
    class Same(Layer):
        def __init__(self):
            self.y, self.loss = np.empty((1, 2), np.float32), MeanSquaredError()

        def forward(self, x, *targets):
            self.y[...] = x
            return self.loss(self.y, *targets) if targets else self.y

    def batches():
        x, y, weight = np.empty((1, 2), np.float32), np.empty((1, 2), np.float32), np.empty(1)
        for i in range(3):
            x[...], y[...], weight[...] = i, 10 * i, 1 + i
            yield x, y, weight

    def seen(y_true, y_pred, sample_weight):
        assert y_true[:, 0].tolist() == [0, 10, 20] and y_pred[:, 0].tolist() == [0, 1, 2]
        return sample_weight @ [1, 10, 100]

    for model in (Same(), Sequential(Linear(2, 2, rng=0), MeanSquaredError())):
        if isinstance(model, Sequential):
            model[0].W.data[...] = np.eye(2)
        assert evaluate(model, batches(), metrics={"seen": seen})["seen"] == 321


@pytest.mark.rows("rows", [2, 5])
def test_two_outputs_are_no_rows_for_metrics(rows):
    class Two(Layer):
        def __init__(self):
            self.inner = classifier()

        def forward(self, x, y=None):
            return (x, -x) if y is None else self.inner(x, y)

    with pytest.raises(TypeError, match=r"evaluate: expected Two\(\) to give one array, got a tuple"):
        evaluate(Two(), Batches(X, Y, rows), {"n": lambda y_true, y_pred: len(y_pred)})


def test_arrays_have_the_dtype_of_the_model():
    model = Sequential(Linear(1, 1, rng=0), MeanSquaredError()).astype(np.float64)
    model[0].W.data[:], model[0].b.data[:] = 1, 0
    x = 20_000_000 + np.arange(10.0)[:, None]
    assert evaluate(model, (x, x + 0.5))["loss"] == 0.25
    assert evaluate(model, (x, (x + 0.5).tolist()))["loss"] == 0.25
