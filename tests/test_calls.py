"""A layer that is called twice before backward: the cache is of the last call only."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

from minnet import (
    GRU,
    Concatenate,
    Dropout,
    Layer,
    Linear,
    MeanSquaredError,
    MultiHeadAttention,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    predict,
)

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 5, 4))
DY = RNG.normal(size=(5, 4))

KINDS = {
    "Linear": (Linear(4, 4, rng=0), A, B),
    "ReLU": (ReLU(), A, B),
    "Sequential": (Sequential(Linear(4, 4, rng=0), ReLU()), A, B),
    "Residual": (Residual(Linear(4, 4, rng=0)), A, B),
    "Concatenate": (Concatenate(Linear(4, 2, rng=0), Linear(4, 2, rng=1)), A, B),
    "Dropout": (Dropout(rng=0), A, B),
    "GRU": (GRU(4, 4, rng=0), A[None], B[None]),
    "MultiHeadAttention": (MultiHeadAttention(4, 2, rng=0), A[None], B[None]),
}


@pytest.fixture
def twice(request):
    return copy.deepcopy(KINDS[request.param])


each_kind = pytest.mark.parametrize("twice", KINDS, indirect=True)


@each_kind
def test_the_second_backward_of_two_calls_says_called_twice(twice):
    layer, a, b = twice
    layer(a), layer(b)
    dy = DY.reshape(a.shape)
    layer.backward(dy)
    with pytest.raises(RuntimeError, match=r"^\w+\(.*\): was called twice before backward"):
        layer.backward(dy)


@each_kind
def test_after_two_calls_one_backward_is_of_the_last(twice):
    layer, a, b = twice
    other, dy = copy.deepcopy(layer), DY.reshape(a.shape)
    layer.eval()(a), layer.eval()(b), other.eval()(b)
    assert np.array_equal(layer.backward(dy), other.backward(dy))


@each_kind
def test_a_call_a_step_may_have_as_many_backwards_as_wanted(twice):
    layer, a, b = twice
    dy = DY.reshape(a.shape)
    for x in (a, b, a):
        layer(x)
        first = layer.backward(dy)
        assert np.array_equal(layer.backward(dy), first)


@each_kind
def test_the_step_after_one_with_two_calls_is_free_again(twice):
    layer, a, b = twice
    dy = DY.reshape(a.shape)
    layer(a), layer(b), layer.backward(dy)
    layer(a), layer.backward(dy), layer.backward(dy)
    layer(a), layer(b)
    layer.clear_cache()
    layer(a), layer.backward(dy), layer.backward(dy)


@each_kind
def test_two_calls_are_told_in_every_step(twice):
    layer, a, b = twice
    dy = DY.reshape(a.shape)
    for _ in range(2):
        layer(a), layer(b), layer.backward(dy)
        with pytest.raises(RuntimeError, match="was called twice before backward"):
            layer.backward(dy)


class Twins(Layer):
    """‖e(a) − e(b)‖² of pairs."""

    def __init__(self, encoder):
        self.encoder = encoder

    def forward(self, a, b):
        self.cache = self.encoder(a) - self.encoder(b)
        return float((self.cache**2).sum() / 2)

    def backward(self):
        self.encoder.backward(self.cache)
        self.encoder.backward(-self.cache)


@pytest.mark.rows("encoder", [Linear(4, 3, rng=0), Sequential(Linear(4, 3, rng=0), ReLU())])
def test_a_siamese_net_is_told(encoder):
    model = Twins(encoder)
    model(A, B)
    with pytest.raises(RuntimeError, match="called twice before backward"):
        model.backward()


def test_one_activation_in_two_places_of_a_model_of_ones_own_is_told():
    class Shared(Layer):
        def __init__(self):
            self.relu, self.inner = ReLU(), Linear(4, 4, rng=0)

        def forward(self, x):
            return self.relu(self.inner(self.relu(x)))

        def backward(self, dy):
            return self.relu.backward(self.inner.backward(self.relu.backward(dy)))

    model = Shared()
    model(A)
    with pytest.raises(RuntimeError, match=r"ReLU\(\): was called twice"):
        model.backward(DY)


def test_a_discriminator_of_real_and_fake_is_told_at_its_loss_too():
    loss = MeanSquaredError()
    loss(A, B), loss(B, B)
    loss.backward()
    with pytest.raises(RuntimeError, match="called twice"):
        loss.backward()


def test_a_prediction_before_the_loss_is_no_second_call():
    model, loss = Sequential(Linear(4, 3, rng=0), SoftmaxCrossEntropy()), SoftmaxCrossEntropy()
    y = np.zeros(5, int)
    model(A), model(A, y)
    model.backward(), model.backward()
    loss(A), loss(A, y)
    assert np.array_equal(loss.backward(), loss.backward())


def test_predict_between_forward_and_backward_is_no_call():
    layer = Linear(4, 4, rng=0)
    layer(A)
    predict(layer, B)
    assert np.array_equal(layer.backward(DY), layer.backward(DY))


def test_layers_without_a_cache_may_be_called_as_often_as_wanted():
    class Minus(Layer):
        def forward(self, x):
            return -x

        def backward(self, dy):
            return -dy

    layer = Minus()
    layer(A), layer(B)
    assert np.array_equal(layer.backward(DY), layer.backward(DY))


def test_a_backward_that_calls_that_of_its_base_is_one_backward():
    class Doubled(Linear):
        def backward(self, dy):
            return 2 * super().backward(dy)

    layer = Doubled(4, 4, rng=0)
    layer(A), layer(B)
    dx = layer.backward(DY)
    assert np.allclose(dx, 2 * DY @ layer.W.data.T)


def test_what_counts_calls_is_neither_copied_nor_pickled_nor_keeps_a_layer_alive():
    layer = Linear(4, 4, rng=0)
    layer(A), layer(B), layer.backward(DY)
    for twin in (copy.deepcopy(layer), copy.copy(layer), pickle.loads(pickle.dumps(layer))):
        twin(A)
        assert np.array_equal(twin.backward(DY), twin.backward(DY))
        assert twin.W is layer.W or twin.W.grad is not layer.W.grad
    gc.disable()
    try:
        gone = weakref.ref(layer)
        del layer
        assert gone() is None
    finally:
        gc.enable()


def test_a_backward_that_somebody_put_there_is_left_alone():
    layer, seen = Linear(4, 4, rng=0), []
    backward = layer.backward
    layer.backward = lambda dy: seen.append(dy.shape) or backward(dy)
    layer(A)
    layer.backward(DY)
    layer.clear_cache()
    layer(A)
    layer.backward(DY)
    assert seen == [(5, 4), (5, 4)]


def test_a_layer_at_every_time_step_works_with_the_caches_that_are_kept():
    class Twice(Layer):
        def __init__(self):
            self.cell = Linear(4, 4, rng=0)

        def forward(self, x):
            caches = []
            for _ in range(3):
                x = self.cell(x)
                caches.append(self.cell.cache)
            self.cache = caches
            return x

        def backward(self, dy):
            for cache in reversed(self.cache):
                self.cell.cache = cache
                dy = self.cell.backward(dy)
            return dy

    model = Twice()
    model(A)
    W = model.cell.W.data
    assert np.allclose(model.backward(DY), DY @ W.T @ W.T @ W.T, atol=1e-6)
    with pytest.raises(RuntimeError, match="called twice"):
        model.cell.backward(DY)


def test_a_cache_with_a_parameter_in_it_is_not_searched():
    class Keeping(Layer):
        def __init__(self):
            self.g = Parameter(np.ones(4))

        def forward(self, x):
            self.cache = x, self.g
            return x * self.g.data

        def backward(self, dy):
            x, g = self.cache
            g.grad += (dy * x).sum(axis=0)
            return dy * g.data

    layer = Keeping()
    layer(A), layer(B), layer.backward(DY)
    assert layer.parameters() == [layer.g]


def test_a_sequential_that_predict_reaches_through_a_function_was_not_called():
    body = Sequential(Linear(4, 4, rng=0))

    class Reaching(Layer):
        def __init__(self):
            self.function = lambda x: body(x)

        def forward(self, x):
            return self.function(x)

    body(A)
    predict(Reaching(), B)
    assert np.array_equal(body.backward(DY), body.backward(DY))


def test_the_backward_of_a_layer_that_is_gone_says_so():
    layer = Linear(4, 4, rng=0)
    layer(A)
    backward = layer.backward
    del layer
    with pytest.raises(ReferenceError, match=r"Linear\.backward: its layer is gone"):
        backward(DY)


def two_heads():
    body = [Linear(4, 4, rng=0), ReLU()]
    return [Sequential(*body, Linear(4, 4, rng=rng), MeanSquaredError()) for rng in (1, 2)]


def test_two_containers_of_the_same_layers_train_in_turns():
    first, second = two_heads()
    for model, x in ((first, A), (second, B), (first, B)):
        model.zero_grad()
        model(x, DY)
        model.backward()
        alone = copy.deepcopy(model)
        alone.zero_grad()
        alone(x, DY)
        alone.backward()
        assert all(np.array_equal(p.grad, q.grad) for p, q in zip(model.parameters(), alone.parameters()))


SHARED = {
    "two heads": two_heads,
    "a slice": lambda: [model := two_heads()[0], model[:2]],
    "a slice of a slice": lambda: [model := two_heads()[0][1:], model[:1]],
    "residual": lambda: [Sequential(body := Linear(4, 4, rng=0), MeanSquaredError()), Residual(body)],
    "branches": lambda: [Sequential(body := Linear(4, 4, rng=0), MeanSquaredError()), Concatenate(body, ReLU())],
    "of branches": lambda: [
        Sequential(Concatenate(body := Linear(4, 2, rng=0), Linear(4, 2, rng=1)), MeanSquaredError()),
        Sequential(ReLU(), body),
    ],
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_a_container_whose_layer_another_one_has_called_since_says_so(make):
    model, other = make()
    model(A, DY)
    other(B)
    with pytest.raises(RuntimeError, match=r"its (Linear|ReLU)\(.*\) is in another container too and was called since"):
        model.backward()
    model(A, DY)
    predict(other, B)
    model.backward()
    model.clear_cache()
    with pytest.raises(RuntimeError, match="backward before forward"):
        model.backward()


def test_containers_that_are_gone_share_nothing_and_are_kept_by_nothing():
    first, second = two_heads()
    gone = weakref.ref(second)
    del second
    gc.collect()
    assert gone() is None
    copied = pickle.loads(pickle.dumps(first))
    assert not {"_holder", "_caches"} & {name for layer in copied.walk(Layer).values() for name in vars(layer)}
