import numpy as np
import pytest

from minnet import Dropout, Linear, ReLU, Residual, Sequential, SoftmaxCrossEntropy
from minnet.insight.alone import Alone, floats, with_gradients
from minnet.insight.observation import Observation


def batch(n=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)), rng.integers(0, 2, n)


def alone(name, depending=True):
    """A layer by itself, of a model with a skip connection."""
    model = Sequential(
        Linear(4, 4, rng=0), Residual(Linear(4, 4, rng=1), Dropout(0.5, rng=2), ReLU()), Linear(4, 2, rng=3),
        SoftmaxCrossEntropy(),
    )  # fmt: skip
    observation = Observation(model.astype(np.float64), *batch())
    observation.forward()
    observation.backward()
    depends = {
        watch: tuple([depending] * len(floats(value)) for value in (watch.inputs, watch.y))
        for watch in observation.watches
    }
    (watch,) = (watch for watch in observation.watches if watch.name == name)
    inside = [w for w in observation.forwards if w.caller is watch]
    return Alone(observation, watch, inside, depends)


def test_a_layer_by_itself_gives_what_it_gave():
    layer = alone("0")
    np.testing.assert_array_equal(layer.forward(), layer.watch.y.reshape(-1))
    np.testing.assert_array_equal(layer.backward(), layer.watch.dy.reshape(-1))


def test_what_a_layer_gives_to_those_inside_it_leaves_it_too():
    layer = alone("1")
    (inner,) = layer.inside
    x, y = layer.watch.x, layer.watch.y
    np.testing.assert_array_equal(layer.forward(), np.concatenate([y.reshape(-1), x.reshape(-1)]))
    expected = np.concatenate([layer.watch.dy.reshape(-1), inner.dx.reshape(-1)])
    np.testing.assert_allclose(layer.backward(), expected, rtol=1e-12)


def test_the_layers_inside_give_what_they_gave_until_they_are_released():
    layer = alone("1")
    (inner,) = layer.inside
    gave = inner.y
    layer.inputs[0][...] = 5.0
    y = layer.forward()[: gave.size]
    np.testing.assert_array_equal(y, 5.0 + gave.reshape(-1))
    layer.release()
    assert not np.array_equal(layer.forward()[: gave.size], y)


def test_the_sources_are_parameters_what_comes_from_inside_and_inputs():
    assert [(s.name, s.receiver, s.array.shape) for s in alone("0").sources()] == [
        ("W", None, (4, 4)),
        ("b", None, (4,)),
        ("", None, (6, 4)),
    ]
    layer = alone("1")
    assert [(s.name, s.receiver) for s in layer.sources()] == [("", layer.inside[0]), ("", None)]
    assert list(alone("1", depending=False).sources()) == []


def test_a_layer_that_got_a_gradient_of_0_gets_another():
    layer = alone("0")
    layer.watch.gradients = (0 * layer.watch.dy,)
    again = Alone(layer.observation, layer.watch, [], layer.depends)
    again.forward()
    assert again.backward().all()


@pytest.mark.rows(
    "value, gradients, expected",
    [
        (np.ones(2), np.full(2, 3.0), [[3, 3]]),
        (np.ones(2), None, [[0, 0]]),
        (np.ones(2), np.ones(3), [[0, 0]]),
        (2.5, 1.0, [1]),
        ((np.ones(2), np.arange(3), np.ones(1)), (np.full(2, 3.0), None, np.full(1, 4.0)), [[3, 3], [4]]),
        (((np.ones(1), np.ones(2)), np.ones(1)), ((np.full(1, 5.0), None),), [[5], [0, 0], [0]]),
        ([np.arange(3), "text", None], (), []),
    ],
)
def test_each_floating_value_has_the_gradient_in_its_place(value, gradients, expected):
    pairs = with_gradients(value, gradients)
    assert [np.asarray(g).tolist() for _, g in pairs] == expected
    assert [np.shape(item) for item in floats(value)] == [np.shape(g) for g in expected]
