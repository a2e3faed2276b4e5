import pytest

from minnet import Linear, ReLU, Sequential, SoftmaxCrossEntropy, load_digits
from minnet.insight.diagnose import diagnose


def test_targets_that_are_all_alike_are_named():
    x, y = load_digits()
    model = Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy())
    assert diagnose(model, x[:64], 0 * y[:64]).findings[0].startswith("all 64 targets in y are the same")
    assert diagnose(model, x[:64], y[:64]).findings == []


@pytest.mark.rows("nested", [False, True])
def test_an_activation_that_cuts_off_the_scores_is_told_to_be_left_out(nested):
    x, y = load_digits()
    layers = [Linear(64, 10, rng=0), ReLU()]
    model = Sequential(Sequential(*layers) if nested else layers[0], *layers[1:][nested:], SoftmaxCrossEntropy())
    name = "layer 0.1" if nested else "layer 1"
    following = "layer 1" if nested else "layer 2"
    assert diagnose(model, x[:64], y[:64]).findings == [
        f"{name}, ReLU() leaves no score below 0 to {following}, SoftmaxCrossEntropy(), so none can become unlikely; "
        "leave it out"
    ]
