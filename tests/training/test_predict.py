"""predict: the rows of a model in order, in any number of threads, and the model untouched."""

import copy
import threading
import tracemalloc
from collections import OrderedDict, defaultdict, namedtuple
from contextlib import suppress
from functools import partial

import numpy as np
import pytest

import minnet
from minnet import (
    LSTM,
    Batches,
    BatchNorm,
    Concatenate,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    LastStep,
    Layer,
    Linear,
    MaxPool2d,
    MultiHeadAttention,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
    predict,
)
from minnet.training.predict import OTHERS, copied_layers

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])
Pair = namedtuple("Pair", ["first", "second"])


class Doubled(Layer):
    """y = 2 x while training, x in evaluation; keeps x."""

    def forward(self, x):
        self.cache = x
        return 2 * x if self.training else x

    def backward(self, dy):
        return 2 * dy


class Holding(Layer):
    """Layers in whatever container, run one after the other."""

    def __init__(self, held, run):
        self.held, self.run = held, run
        self.note, self.table, self.nothing = "a text", np.arange(3), None

    def forward(self, x):
        for layer in self.run(self.held):
            x = layer(x)
        return x


class Waiting(Layer):
    """y = x, which it keeps while it waits in every forward until all threads are in one."""

    def __init__(self, barrier):
        self.barrier = [barrier]

    def forward(self, x):
        self.kept = x
        with suppress(threading.BrokenBarrierError):
            self.barrier[0].wait()
        return self.kept

    def backward(self, dy):
        return dy


class Failing(Layer):
    """y = x, until x has a value above 100."""

    def forward(self, x):
        self.cache = x
        if x.max() > 100:
            raise RuntimeError("too much")
        return x

    def backward(self, dy):
        return dy


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def layers(model):
    return list(model.walk(Layer).values())


@pytest.mark.rows("batch_size", [1, 2, 4, 5, 100])
def test_predict_gives_the_rows_of_the_model_in_order(batch_size):
    model = classifier()
    result = predict(model, X, batch_size)
    assert result == pytest.approx(model(X), rel=1e-6)
    assert result.shape == (5, 3) and result.sum(axis=1) == pytest.approx(1)


def test_predict_takes_what_the_model_takes_and_gives_what_it_gives():
    model = classifier()
    assert predict(model, X.tolist(), 2).dtype == np.float32
    assert predict(model.astype(np.float64), X, 2).dtype == np.float64
    assert predict(Sequential(), np.array([[4, 5], [6, 7]]), 1).tolist() == [[4, 5], [6, 7]]
    assert predict(model, X[:0]).shape == (0, 3)
    assert predict(Sequential(minnet.Flatten()), np.ones((3, 2, 2)), 2).shape == (3, 4)


def test_predict_never_hands_out_the_array_it_was_given():
    result = predict(Sequential(), X)
    result[...] = 0
    assert X.any()


@pytest.mark.rows(
    ("change", "error"),
    [
        ({"model": "model"}, TypeError),
        ({"x": 1.0}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": -2}, ValueError),
        ({"batch_size": 2.0}, TypeError),
        ({"batch_size": True}, TypeError),
    ],
)
def test_predict_refuses_what_does_not_fit(change, error):
    with pytest.raises(error, match="predict: "):
        predict(**({"model": classifier(), "x": X, "batch_size": 2} | change))


def test_a_single_sample_without_a_batch_axis_is_refused_by_predict():
    with pytest.raises(ValueError, match=r"predict: expected an output for each of the 3 rows of x, got shape \(1,\)"):
        predict(minnet.Sequential(minnet.Linear(3, 1)), np.ones(3))


def images():
    return Sequential(
        Conv2d(1, 4, 3, padding=1, rng=0),
        BatchNorm(4),
        ReLU(),
        Dropout(0.5, rng=1),
        MaxPool2d(2),
        Flatten(),
        Linear(36, 3, rng=2),
        SoftmaxCrossEntropy(),
    ), (6, 6, 1)


def sequences():
    return Sequential(
        LSTM(3, 4, rng=0),
        Dropout(0.5, rng=1),
        Residual(MultiHeadAttention(4, 2, rng=2), BatchNorm(4)),
        LastStep(),
        Concatenate(Linear(4, 2, rng=3), Sequential(Linear(4, 1, rng=4), BatchNorm(1))),
        SoftmaxCrossEntropy(),
    ), (5, 3)


def in_the_middle_of_training(make):
    """A model in training mode with running statistics, and a forward whose backward is still to come; x and y."""
    model, shape = make()
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(24, *shape)).astype(np.float32), rng.integers(0, 3, 24)
    model(x[:9], y[:9])
    return model, x, y


def at_once(work, count):
    """What work(i) gives in each of several threads that start together."""
    barrier, results, errors = threading.Barrier(count, timeout=60), [None] * count, []

    def run(i):
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert errors == []
    return results


@pytest.mark.rows("make", [images, sequences])
def test_threads_that_predict_with_one_model_get_what_one_after_the_other_gets(make):
    model, x, _ = in_the_middle_of_training(make)
    alone = copy.deepcopy(model).eval()
    parts = [x[i : i + 6] for i in range(0, 24, 6)]
    expected = [predict(alone, part, 2).tobytes() for part in parts]
    got = at_once(lambda i: [predict(model, parts[i], 2).tobytes() for _ in range(10)], len(parts))
    assert got == [[result] * 10 for result in expected]


@pytest.mark.rows("make", [images, sequences])
def test_predicting_in_the_middle_of_a_step_changes_nothing_of_it(make):
    model, x, _ = in_the_middle_of_training(make)
    model[1].training = False
    other = copy.deepcopy(model)
    y = np.arange(9) % 3
    for each in (model, other):
        each(x[:9], y)
    before = [values(model), [layer.training for layer in layers(model)], [set(vars(layer)) for layer in layers(model)]]
    caches = [id(vars(layer).get("cache")) for layer in layers(model)]
    states = [drawn.bit_generator.state for drawn in model.walk(np.random.Generator).values()]
    at_once(lambda i: predict(model, x, 4), 3)
    assert [
        values(model),
        [layer.training for layer in layers(model)],
        [set(vars(layer)) for layer in layers(model)],
    ] == before
    assert [id(vars(layer).get("cache")) for layer in layers(model)] == caches
    assert [drawn.bit_generator.state for drawn in model.walk(np.random.Generator).values()] == states
    model.backward()
    other.backward()
    assert [p.grad.tobytes() for p in model.parameters()] == [p.grad.tobytes() for p in other.parameters()]
    assert any(p.grad.any() for p in model.parameters())


def in_threads_that_meet():
    """Whether two threads that are inside of one model at the same time get what each gets alone."""
    barrier = threading.Barrier(2, timeout=20)
    model = Sequential(Linear(2, 3, rng=0), Waiting(barrier), Doubled(), SoftmaxCrossEntropy())
    before = [layer.training for layer in layers(model)], [set(vars(layer)) for layer in layers(model)]
    alone = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    results = at_once(lambda i: predict(model, X[i : i + 2], 1), 2)
    after = [layer.training for layer in layers(model)], [set(vars(layer)) for layer in layers(model)]
    return before == after and all(
        np.array_equal(result, predict(alone, X[i : i + 2], 1)) for i, result in enumerate(results)
    )


def test_threads_that_are_inside_of_one_model_at_the_same_time_do_not_meet():
    assert in_threads_that_meet()


def test_a_predict_on_the_model_itself_would_be_seen(monkeypatch):
    """The check above fails when layers are shared instead of copied."""
    monkeypatch.setattr("minnet.training.predict.copied_layers", lambda model, copies: model)
    assert not in_threads_that_meet()


CONTAINERS = {
    "a list": (lambda a, b: [a, b], lambda held: held),
    "a tuple": (lambda a, b: (a, b), lambda held: held),
    "a dict": (lambda a, b: {"a": a, "b": b}, lambda held: held.values()),
    "an ordered dict": (lambda a, b: OrderedDict(a=a, b=b), lambda held: held.values()),
    "a default dict": (lambda a, b: defaultdict(list, a=a, b=b), lambda held: held.values()),
    "a named tuple": (Pair, lambda held: (held.first, held.second)),
    "containers in containers": (
        lambda a, b: {"steps": [(a, None), Pair(b, "text")]},
        lambda held: (held["steps"][0][0], held["steps"][1].first),
    ),
    "the same list twice": (lambda a, b: [[both := [a, b]], both], lambda held: held[0][0]),
}


@pytest.mark.rows("name", CONTAINERS)
def test_layers_are_copied_wherever_a_model_finds_them(name):
    hold, run = CONTAINERS[name]
    first, second = Doubled(), Sequential(Doubled(), Linear(2, 2, rng=0))
    model = Holding(hold(first, second), run)
    expected = X @ second[1].W.data
    assert predict(model, X, 2) == pytest.approx(expected)
    assert all(layer.training and "cache" not in vars(layer) for layer in layers(model))
    assert type(model.held) is type(hold(first, second))
    model(X)
    assert first.cache is X


def test_a_model_whose_layers_would_not_be_found_is_refused_by_predict_as_by_fit():
    class Holder:
        def __init__(self):
            self.layer = Dropout(0.5, rng=0)

    objects = np.array([Dropout(0.5, rng=0), None])
    for held, told in [(Holder(), "held is a Holder"), (objects, "held is a nd"), ([objects], "held.0 is a nd")]:
        model = Holding(held, lambda held: [])
        with pytest.raises(TypeError, match=told):
            evaluate(model, [(X, Y)])
        with pytest.raises(TypeError, match=told):
            predict(model, X)


BUILT_IN = {
    "images": lambda: Sequential(BatchNorm(2), ReLU(), MaxPool2d(2), Flatten(), Linear(2, 3)),
    "ids": lambda: Sequential(Embedding(5, 2, sparse=True), Embedding(5, 2), Linear(2, 3)),
    "sequences": lambda: Sequential(LSTM(2, 4), MultiHeadAttention(4, 2), LastStep()),
    "branches": lambda: Sequential(Concatenate(Residual(Linear(2, 2), Dropout()), Linear(2, 1))),
    "trained": lambda: trained(Sequential(Linear(2, 3), SoftmaxCrossEntropy())),
}


def trained(model):
    model(X, Y)
    model.backward()
    return model


@pytest.mark.rows("name", BUILT_IN)
def test_built_in_layers_are_copied_without_a_search_for_others_in_them(name):
    copies = {}
    model = BUILT_IN[name]()
    assert copied_layers(model, copies)[0] is not model[0]
    assert OTHERS not in copies


def test_layers_that_know_each_other_are_copied_together():
    inner, outer = Doubled(), Holding([], lambda held: held)
    outer.held.append(inner)
    inner.parent = outer
    assert np.array_equal(predict(outer, X), X)
    assert inner.parent is outer and inner.training


def test_a_layer_that_two_others_hold_is_one_layer_still():
    class Counts(Layer):
        def __init__(self):
            self.seen = [0]

        def forward(self, x):
            self.seen[0] += 1
            return x + self.seen[0]

    shared = Counts()
    model = Holding([Holding([shared], iter), Holding([shared], iter)], iter)
    assert np.array_equal(predict(model, X), X + 3)


def test_shared_parameters_are_those_of_the_model():
    model = Sequential(Linear(2, 2, rng=0), ReLU(), Linear(2, 2, rng=1))
    model[2].W = model[0].W
    before = predict(model, X)
    model[0].W.data *= 2
    hidden = np.maximum(X @ model[0].W.data, 0)
    assert predict(model, X) == pytest.approx(hidden @ model[0].W.data)
    assert not np.array_equal(before, predict(model, X))


def test_parameters_are_neither_copied_nor_replaced():
    model = classifier()
    held = [p.data for p in model.parameters()]
    seen = []
    model.layers[0].forward = lambda x: seen.append(model.layers[0].W.data) or x @ model.layers[0].W.data
    predict(model, X)
    assert seen[0] is held[0] and all(p.data is data for p, data in zip(model.parameters(), held))


def test_a_method_that_a_layer_keeps_runs_on_the_layer_that_predicts():
    class Chooses(Layer):
        def __init__(self):
            self.run = self.double

        def double(self, x):
            self.cache = x
            return 2 * x if self.training else x

        def forward(self, x):
            return self.run(x)

    model = Chooses()
    assert np.array_equal(predict(model, X), X)
    assert "cache" not in vars(model)


def growth(n, batch_size):
    """By how much memory grows at most while predicting n samples, beyond the result."""
    model = Sequential(Linear(64, 256, rng=0), ReLU(), Linear(256, 2, rng=1))
    x = np.zeros((n, 64), np.float32)
    predict(model, x[:8])
    tracemalloc.start()
    try:
        result = predict(model, x, batch_size)
        return tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()


def test_predict_takes_memory_for_a_batch_and_not_for_all():
    few, many, large = growth(512, 128), growth(16384, 128), growth(16384, 2048)
    # A batch's activations alone are 128 kB, those of all would be 16 MB.
    assert many < 1.3 * few + 20_000
    assert large > 8 * many


def test_an_error_in_predict_has_the_models_own_names():
    model = Sequential(Linear(2, 3, rng=0), Residual(Linear(3, 4, rng=0)), SoftmaxCrossEntropy())
    with pytest.raises(ValueError, match=r"layer 1, Residual\(Linear\(3, 4, rng=0\)\).*keep the shape \(5, 3\)"):
        predict(model, X)
    with pytest.raises(ValueError, match=r"layer 0, Linear\(2, 3, rng=0\), given shape \(2, 7\) by the input"):
        predict(model, np.ones((2, 7)))


def test_predict_never_looks_at_more_rows_than_a_batch():
    seen = []

    class Sees(Layer):
        def forward(self, x):
            seen.append((len(x), self.training))
            return x

    predict(Sequential(Sees()), np.zeros((7, 2)), 3)
    assert seen == [(3, False), (3, False), (1, False)]


def test_predict_is_256_rows_at_a_time_unless_told_otherwise():
    seen = []

    class Sees(Layer):
        def forward(self, x):
            seen.append(len(x))
            return x

    predict(Sequential(Sees()), np.zeros((300, 2)))
    assert seen == [256, 44]


@pytest.mark.rows("shape", [(1, 2), (4, 2), (3, 1), (3,)])
def test_a_later_batch_of_another_shape_is_refused_and_not_spread(shape):
    class Short(Layer):
        def forward(self, x):
            return x if len(x) == 4 else np.zeros(shape)

    with pytest.raises(ValueError, match="predict: expected an output for each of the 3 rows of x, got shape"):
        predict(Short(), np.ones((7, 2)), 4)


def test_what_is_no_array_can_be_predicted_by_a_layer_of_ones_own():
    class Lists(Layer):
        def forward(self, x):
            return (2 * x).tolist()

    assert np.array_equal(predict(Lists(), X, 2), 2 * X)


def test_an_interrupted_predict_in_one_thread_does_not_disturb_another():
    model = classifier(Failing(), Doubled())
    expected = predict(model, X, 2)
    bad = np.full((5, 2), 1e4, np.float32)

    def work(i):
        if i == 0:
            for _ in range(20):
                with pytest.raises(RuntimeError, match="too much"):
                    predict(model, bad)
            return True
        return all(np.array_equal(predict(model, X, 2), expected) for _ in range(20))

    assert at_once(work, 3) == [True] * 3


@pytest.mark.rows("call", ["predict", "evaluate"])
def test_an_error_in_the_middle_leaves_modes_parameters_and_no_cache(call):
    model = classifier(Failing(), Doubled())
    model[2].eval()
    before = values(model), [layer.training for layer in layers(model)]
    x = X.copy()
    x[4] = 1e4
    arguments = {"predict": (x, 2), "evaluate": (Batches(x, Y, 2, shuffle=False), {"m": minnet.accuracy})}
    with pytest.raises(RuntimeError, match="too much"):
        getattr(minnet, call)(model, *arguments[call])
    assert (values(model), [layer.training for layer in layers(model)]) == before
    assert not any("cache" in vars(layer) for layer in layers(model))


def recorded(seen, forward):
    def record(*inputs):
        y = forward(*inputs)
        seen.append(y)
        return y

    return record


class Routed(Layer):
    """A model whose forward reaches its layers through functions."""

    def __init__(self, route):
        self.linear, self.drop, self.norm = Linear(2, 8, rng=0), Dropout(0.5), BatchNorm(8)
        self.path = route(self)

    def start(self, x):
        return self.norm(self.linear(x))

    def end(self, x):
        return self.drop(x)

    def forward(self, x):
        for step in self.path:
            x = getattr(self, step)(x) if isinstance(step, str) else step(x)
        return x


ROUTES = {
    "methods": lambda m: [m.start, m.end],
    "lambdas": lambda m: [lambda x: m.start(x), lambda x: m.end(x)],
    "partials": lambda m: [partial(m.start), partial(m.end)],
    "a closure over a layer": lambda m: [m.start, (lambda drop: lambda x: drop(x))(m.drop)],
    "a default": lambda m: [m.start, lambda x, drop=m.drop: drop(x)],
    "names": lambda m: ["start", "end"],
    "a partial in a dict in a list": lambda m: [{"f": partial(m.start)}["f"], *[partial(m.end)]],
}


@pytest.mark.parametrize("route", ROUTES)
def test_predict_is_in_evaluation_mode_however_layers_are_reached(route):
    model = Routed(ROUTES[route])
    mean = model.norm.running_mean.data.copy()
    expected = copy.deepcopy(model.norm).eval()(model.linear(X))
    assert np.array_equal(predict(model, X), expected)
    assert np.array_equal(model.norm.running_mean.data, mean)
    assert model.training and model.drop.training


def test_recorded_activations_are_those_of_evaluation_mode():
    seen = []
    model = Sequential(Linear(2, 8, rng=0), BatchNorm(8), Dropout(0.5), Linear(8, 3, rng=1))
    expected = predict(model, X)
    for layer in model:
        layer.forward = recorded(seen, layer.forward)
    assert np.array_equal(predict(model, X), expected)
    assert len(seen) == 4 and np.array_equal(seen[-1], expected)


def test_predict_through_functions_in_the_middle_of_a_step_changes_nothing_of_it():
    model = Sequential(Linear(2, 8, rng=0), ReLU(), Linear(8, 3, rng=1), SoftmaxCrossEntropy())
    other = copy.deepcopy(model)
    for layer in model:
        layer.forward = recorded([], layer.forward)
    for net in (model, other):
        net(X, Y)
    predict(model, X[::-1] + 1)
    model.backward(), other.backward()
    assert all(np.array_equal(p.grad, q.grad) for p, q in zip(model.parameters(), other.parameters()))


def test_threads_predict_while_another_trains_in_its_own_mode():
    model, modes, stop = Routed(ROUTES["lambdas"]), [], threading.Event()

    class Watches(Layer):
        def forward(self, x):
            modes.append((threading.current_thread().name, self.training))
            return x

    model.path = [*model.path, Watches()]

    def predict_until_stopped():
        while not stop.is_set():
            predict(model, X)

    thread = threading.Thread(target=predict_until_stopped, name="predicts")
    thread.start()
    for _ in range(200):
        model(X)
    stop.set()
    thread.join()
    assert set(modes) == {("predicts", False), (threading.current_thread().name, True)}


@pytest.mark.rows("fails", [ZeroDivisionError, KeyboardInterrupt])
def test_the_thread_is_back_in_its_mode_after_a_predict_that_failed(fails):
    class Fails(Layer):
        def forward(self, x):
            raise fails("here")

    with pytest.raises(fails):
        predict(Fails(), X)
    assert Dropout(0.5).training


@pytest.mark.rows("outputs", [lambda x: (x, -x), lambda x: {"a": x, "b": x}, lambda x: [x, -x]])
def test_two_outputs_are_no_rows(outputs):
    class Two(Layer):
        def forward(self, x):
            return outputs(x)

    for rows in (1, 2, 3):
        with pytest.raises(TypeError, match=r"predict: expected Two\(\) to give one array, got a (tuple|dict|list)"):
            predict(Two(), X[:rows])


@pytest.mark.rows("batch_size", [1, 7, 50, 256])
def test_another_batch_size_gives_the_same_up_to_rounding(batch_size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 256)).astype(np.float32)
    model = Sequential(Linear(256, 64, rng=0), ReLU(), Linear(64, 10, rng=1), SoftmaxCrossEntropy())
    assert np.allclose(predict(model, x, batch_size), predict(model, x, 100), rtol=1e-5, atol=1e-6)


def test_data_in_a_file_are_predicted_slice_by_slice():
    class Stored:
        """What an h5py Dataset or a zarr array offers."""

        shape, dtype, ndim = X.shape, X.dtype, X.ndim
        read = []  # noqa: RUF012

        def __getitem__(self, rows):
            self.read.append(len(X[rows]))
            return X[rows]

    model = Sequential(Linear(2, 3, rng=0))
    assert np.array_equal(predict(model, Stored(), 2), predict(model, X, 2))
    assert Stored.read == [2, 2, 1]


def test_a_layer_that_leaves_its_lock_out_of_a_pickle_predicts_with_it():
    class Locked(Doubled):
        def __init__(self):
            self.lock = threading.Lock()

        def __getstate__(self):
            return {name: value for name, value in super().__getstate__().items() if name != "lock"}

        def forward(self, x):
            with self.lock:
                return super().forward(x)

    assert np.array_equal(predict(Locked(), X), X)


def test_predict_gives_no_cache_back_that_another_thread_has_replaced():
    class Gate(Layer):
        def forward(self, x):
            if not self.training:
                inside.set()
                go.wait(20)
            self.cache = x
            return x

        def backward(self, dy):
            return dy

    inside, go = threading.Event(), threading.Event()
    model = Sequential(Linear(2, 3, rng=0), Gate(), SoftmaxCrossEntropy())
    model(X, Y), model.backward()
    right = model[0].W.grad.copy()
    model.zero_grad()
    model(X[::-1] + 1, Y)
    thread = threading.Thread(target=predict, args=(model, X))
    thread.start()
    assert inside.wait(20)
    model(X, Y)
    go.set()
    thread.join()
    model.backward()
    assert np.array_equal(model[0].W.grad, right)
