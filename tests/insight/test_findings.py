from itertools import pairwise

import numpy as np
import pytest

from minnet import (
    SGD,
    Batches,
    BatchNorm,
    LayerNorm,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    evaluate,
    fit,
    he_normal,
    load_digits,
    train_test_split,
)
from minnet.insight.diagnose import diagnose
from minnet.insight.findings import about_gradients, about_sizes, about_updates
from minnet.insight.observation import Observation


def called(change=1.0, layer=0):
    """The watches of a network, of which the weights of one layer are multiplied."""
    model = Sequential(Linear(64, 32, rng=0), ReLU(), Linear(32, 10, rng=1), SoftmaxCrossEntropy())
    model[layer].W.data *= change
    x, y = load_digits()
    observation = Observation(model, x[:64], y[:64])
    observation.forward()
    observation.backward()
    return observation.called


def test_a_network_of_the_usual_size_has_nothing_to_be_said_of():
    watches = called()
    x = watches[0].x
    assert [*about_sizes(watches, x, 2.3, ("ln 10", 2.3)), *about_gradients(watches, {}, slow=True)] == []
    assert list(about_updates(watches, 0.1, learned=False)) == []


@pytest.mark.rows("layer", [0, 2])
def test_what_enlarges_is_named_once(layer):
    watches = called(100.0, layer)
    (said,) = about_sizes(watches, watches[0].x, 2.3, None)
    assert said.startswith(f"layer {layer}, Linear(") and "scale its initial weights or biases down" in said


def test_integers_have_no_size_that_could_be_too_large():
    assert list(about_sizes(called(), np.full((64, 64), 1000), 2.3, None)) == []


def test_the_rate_is_judged_by_the_weights_that_change_most():
    (said,) = about_updates(called(), 100.0, learned=False)
    assert said.startswith("a step with lr = 100 changes W of layer 0, Linear(64, 32, rng=0) by 10 of its size")
    (said,) = about_updates(called(), 1e-9, learned=False)
    assert "by only 1e-10 of its size" in said
    assert list(about_updates(called(), 1e-9, learned=True)) == [], "that the steps are small is no fault any more"


def stack(depth, width, activation, norm=None, init=None, rng=0):
    draw, sizes = np.random.default_rng(rng), [64] + [width] * depth
    layers = []
    for shape in pairwise(sizes):
        linear = Linear(*shape, rng=draw)
        if init:
            linear.W.data[...] = init(shape, draw)
        layers += [linear, *([norm(width)] if norm else []), activation()]
    return Sequential(*layers, Linear(width, 10, rng=draw), SoftmaxCrossEntropy())


def digits(n=64):
    x, y = load_digits()
    return x[:n], y[:n]


FADING = [(depth, width) for depth in (3, 4, 5) for width in (30, 64)]  # SGD leaves these at an accuracy of 0.1
TRAINED = {  # SGD takes these to 0.9 and more
    "two sigmoids": lambda rng: stack(2, 30, Sigmoid, rng=rng),
    "sigmoids behind batch norm": lambda rng: stack(4, 30, Sigmoid, norm=BatchNorm, rng=rng),
    "tanh": lambda rng: stack(5, 30, Tanh, rng=rng),
    "tanh, deep": lambda rng: stack(8, 64, Tanh, rng=rng),
    "ReLU": lambda rng: stack(5, 64, ReLU, init=he_normal, rng=rng),
    "ReLU behind batch norm": lambda rng: stack(8, 30, ReLU, norm=BatchNorm, rng=rng),
    "ReLU behind layer norm": lambda rng: stack(8, 30, ReLU, norm=LayerNorm, rng=rng),
}


def vanishes(model):
    return [text for text in diagnose(model, *digits()).findings if "the gradient vanishes on its way back" in text]


@pytest.mark.rows("depth, width", FADING)
@pytest.mark.rows("rng", range(2))
def test_a_gradient_that_fades_in_a_few_sigmoids_has_vanished(depth, width, rng):
    (only,) = vanishes(stack(depth, width, Sigmoid, rng=rng))
    assert "most is lost in layer " in only and "Sigmoid(), which passes 0." in only


@pytest.mark.rows("make", TRAINED.values(), ids=TRAINED)
@pytest.mark.rows("rng", range(2))
def test_where_training_gets_on_no_gradient_has_vanished(make, rng):
    assert vanishes(make(rng)) == []


def accuracy_by_sgd(model, lr=0.1):
    x_train, x_test, y_train, y_test = train_test_split(*load_digits(), rng=0)
    fit(model, SGD(model.parameters(), lr), Batches(x_train, y_train, 32, rng=0), 15, progress=False)
    return evaluate(model, [(x_test, y_test)])["accuracy"]


@pytest.mark.long
@pytest.mark.rows("depth, width", FADING)
def test_the_nets_whose_gradient_is_said_to_vanish_are_not_trained_by_sgd(depth, width):
    assert accuracy_by_sgd(stack(depth, width, Sigmoid)) < 0.2


@pytest.mark.long
@pytest.mark.rows("make", TRAINED.values(), ids=TRAINED)
def test_the_nets_whose_gradient_does_not_vanish_are_trained_by_sgd(make):
    assert max(accuracy_by_sgd(make(0), lr) for lr in (0.1, 0.5)) > 0.85


def freeze(*layers):
    for layer in layers:
        layer.frozen = True
        for p in layer.parameters():
            p.frozen = True


def network():
    return Sequential(Linear(64, 32, rng=0), ReLU(), Linear(32, 10, rng=1), SoftmaxCrossEntropy())


def test_how_much_is_frozen_is_a_fact_and_no_finding():
    model = network()
    assert diagnose(model, *digits()).frozen is None
    freeze(model[0])
    report = diagnose(model, *digits())
    assert report.frozen == "2,080 of 2,410 parameters are frozen, in layer 0, Linear(64, 32, rng=0)"
    assert report.frozen in str(report).splitlines()[0]
    assert report.findings == [] and report.layers[0].updates == {} and list(report.layers[2].updates) == ["W", "b"]
    assert report.overfit[1] < report.overfit[0] / 2


def test_what_is_frozen_stays_while_the_rest_learns_and_is_not_told_to_change_faster():
    model = network()
    freeze(model[0])
    (only,) = diagnose(model, *digits(), lr=100.0).findings
    assert "changes W of layer 2, Linear(32, 10, rng=1)" in only


def test_a_model_that_is_frozen_as_a_whole_is_told_so():
    model = network()
    freeze(model[0], model[2])
    report = diagnose(model, *digits())
    assert report.findings == ["all 2,410 parameters are frozen: nothing to train; unfreeze() what should learn"]
    assert report.overfit is None


def test_of_many_frozen_layers_three_are_named_and_shared_parameters_count_once():
    layers = [Linear(64, 64, bias=False, rng=i) for i in range(6)]
    layers[5].W = layers[4].W
    freeze(*layers)
    report = diagnose(Sequential(*layers, Linear(64, 10, rng=9), SoftmaxCrossEntropy()), *digits())
    assert report.frozen.startswith("20,480 of 21,130 parameters are frozen, in layer 0, Linear(")
    assert report.frozen.endswith(" and 3 more") and report.frozen.count("layer ") == 3
