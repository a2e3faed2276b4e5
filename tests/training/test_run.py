"""A training run: how far it has come, and how it ends."""

import numpy as np

from minnet import SGD, Linear, Sequential, SoftmaxCrossEntropy, exponential_decay
from minnet.training.early_stopping import EarlyStopping
from minnet.training.run import Position, Run
from minnet.training.updates import Updates


def new_run(**others):
    model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    optimizer = SGD(model.parameters(), lr=exponential_decay(1.0, 0.5))
    return Run(model=model, updates=Updates(model, [optimizer]), train=[], **others)


def test_a_run_has_another_epoch_until_all_are_trained_or_patience_or_the_callback_ends_it():
    assert new_run(epochs=1).has_next_epoch() and not new_run(epochs=0).has_next_epoch()
    assert not new_run(epochs=1, stopped=True).has_next_epoch()
    stopping = EarlyStopping(1, "loss", "min")
    assert new_run(epochs=1, stopping=stopping).has_next_epoch()
    stopping.waited = 1
    assert not new_run(epochs=1, stopping=stopping).has_next_epoch()


def test_the_end_of_a_run_clears_the_gradients_and_restores_the_best_epoch():
    run = new_run(epochs=1, stopping=EarlyStopping(1, "loss", "min"))
    best = run.model[0].W.data.copy()
    run.stopping.update({"loss": 1.0}, run.model)
    run.model[0].W.data += 1
    run.model[0].W.grad += 1
    run.finish()
    assert np.array_equal(run.model[0].W.data, best) and not run.model[0].W.grad.any()


def test_the_mean_of_the_batches_and_their_share_are_the_figures_of_a_position():
    at = Position()
    assert at.figures() == {}
    at.add(3.0, None)
    at.add(1.0, None)
    assert at.figures() == {"loss": 2.0}
    at.next_epoch()
    assert at == Position(epoch=1, last=1.0) and at.figures() == {}
    at.add(2.0, (3, 4))
    at.add(4.0, (1, 4))
    assert at.figures() == {"loss": 3.0, "accuracy": 0.5} and (at.epoch, at.batch, at.last) == (1, 2, 4.0)
