import numpy as np
import pytest

from minnet import Linear, ReLU, Sequential, SoftmaxCrossEntropy, load_digits
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
