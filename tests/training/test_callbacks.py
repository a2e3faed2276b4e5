"""The functions that fit calls: in which order, with what, and which answer ends the training."""

import dataclasses

import numpy as np
import pytest

import minnet
from minnet import SGD, Adam, BatchNorm, History, Linear, Sequential, SoftmaxCrossEntropy, step_decay
from minnet.training.callbacks import BatchEnd, Callbacks

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5]], np.float32)
Y = np.array([0, 1, 2, 1])


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def fit(model, epochs=2, lr=0.1, batches=2, **options):
    return minnet.fit(model, SGD(model.parameters(), lr), [(X, Y)] * batches, epochs, progress=False, **options)


def test_all_of_a_list_are_called_in_turn_after_each_epoch():
    calls = []
    fit(classifier(), on_epoch_end=[lambda h: calls.append(("a", len(h["loss"]))), lambda h: calls.append("b")])
    assert calls == [("a", 1), "b", ("a", 2), "b"]


@pytest.mark.parametrize("place", [0, 1])
def test_one_of_several_is_enough_to_end_the_training_and_the_others_are_called_too(place):
    calls = []
    functions = [lambda h: calls.append(1), lambda h: calls.append(2)]
    functions.insert(place, lambda h: False)
    assert len(fit(classifier(), 5, on_epoch_end=tuple(functions))["loss"]) == 1 and calls == [1, 2]


def test_each_batch_is_told_with_its_place_its_loss_and_the_rate_of_its_step():
    told = []
    history = fit(classifier(), 2, step_decay(0.4, every=2, factor=0.5), on_batch_end=told.append)
    assert [(at.epoch, at.batch, at.lr) for at in told] == [(1, 1, 0.4), (1, 2, 0.4), (2, 1, 0.2), (2, 2, 0.2)]
    assert history["loss"] == [(told[0].loss + told[1].loss) / 2, (told[2].loss + told[3].loss) / 2]
    assert all(type(value) in (int, float) for value in dataclasses.astuple(told[0]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        told[0].loss = 0.0


def test_the_gradients_of_the_batch_are_there_and_its_step_is_not():
    model, seen = classifier(), []

    def look(at):
        seen.append((values(model), model[0].W.grad.copy()))

    alone = classifier()
    alone(X, Y)
    alone.backward()
    before = values(model)
    fit(model, 1, on_batch_end=look)
    assert seen[0][0] == before and np.array_equal(seen[0][1], alone[0].W.grad)
    assert seen[1][0] != before


def test_gradients_that_are_changed_there_are_what_the_step_takes():
    model = classifier()
    before = values(model)

    def clear(at):
        for parameter in model.parameters():
            parameter.grad[...] = 0

    fit(model, on_batch_end=clear)
    assert values(model) == before


def test_with_accumulate_every_batch_is_told_and_its_sum_is_there():
    model, norms = classifier(), []
    fit(model, 1, 0.0, 5, accumulate=2, on_batch_end=lambda at: norms.append(float(np.linalg.norm(model[0].W.grad))))
    assert norms == pytest.approx([norms[0], 2 * norms[0], norms[0], 2 * norms[0], norms[0]], rel=1e-6)


def test_a_batch_that_ends_the_training_is_not_applied_and_its_epoch_is_not_recorded():
    stopped, whole = classifier(), classifier()
    history = fit(stopped, 5, batches=3, on_batch_end=lambda at: not (at.epoch == 2 and at.batch == 2))
    fit(whole, 1, batches=3)
    fit(whole, 1, batches=1)
    assert values(stopped) == values(whole) and len(history["loss"]) == 1
    assert not any(parameter.grad.any() for parameter in stopped.parameters())
    assert not any("cache" in vars(layer) for layer in stopped)


def test_it_leaves_the_checkpoint_that_was_there_and_the_run_goes_on_from_it(tmp_path):
    options = {"checkpoint": tmp_path / "run", "checkpoint_every": 1}
    fit(classifier(), 3, on_batch_end=lambda at: at.epoch < 2, **options)
    resumed, whole = classifier(), classifier()
    history = fit(resumed, 3, **options)
    assert history["loss"] == fit(whole, 3)["loss"] and values(resumed) == values(whole)


@pytest.mark.parametrize("answer", [None, True, 0, "", np.True_])
def test_a_batch_goes_on_for_every_answer_but_false(answer):
    assert len(fit(classifier(), on_batch_end=lambda at: answer)["loss"]) == 2
    assert fit(classifier(), on_batch_end=lambda at: np.False_) == {}


def test_a_search_for_a_learning_rate_is_a_schedule_and_a_callback():
    losses, rates = [], []

    def watch(at):
        losses.append(at.loss)
        rates.append(at.lr)
        return at.loss < 4 * losses[0]

    fit(classifier(), 1, lambda step: 1e-3 * 2**step, 1000, on_batch_end=watch)
    assert 10 < len(losses) < 100 and rates[:3] == [1e-3, 2e-3, 4e-3]


@pytest.mark.rows("some", [lambda model: model, lambda model: model[1]])
def test_layers_that_it_puts_into_evaluation_mode_train_on(some):
    def watched(at):
        some(model).eval()

    model, plain = classifier(BatchNorm(3)), classifier(BatchNorm(3))
    fit(model, on_batch_end=watched)
    fit(plain)
    assert values(model) == values(plain)


def test_several_optimizers_tell_the_rate_of_the_first():
    model, told = classifier(BatchNorm(3)), []
    optimizers = [Adam(model[1].parameters(), 0.25), SGD(model[0].parameters(), 0.5)]
    minnet.fit(model, optimizers, [(X, Y)], 1, on_batch_end=told.append)
    assert told[0].lr == 0.25


@pytest.mark.parametrize("name", ["on_epoch_end", "on_batch_end"])
@pytest.mark.parametrize("bad", [3, "print", [print, None]], ids=repr)
def test_what_can_not_be_called_is_refused_before_anything_changes(name, bad):
    model = classifier()
    before = values(model)
    with pytest.raises(TypeError, match=f"fit: expected {name} to be a function of"):
        fit(model, **{name: bad})
    assert values(model) == before


@pytest.mark.parametrize("name", ["on_epoch_end", "on_batch_end"])
def test_an_error_says_which_of_them_it_was_in_and_numpys_settings_are_the_callers(name):
    seen = []

    def fail(told):
        seen.append(np.geterr())
        raise LookupError("the callback")

    with np.errstate(over="raise", divide="warn"):
        before = np.geterr()
        with pytest.raises(LookupError) as caught:
            fit(classifier(), **{name: fail})
    assert seen == [before] and f"fit: this was in {name}" in caught.value.__notes__


def test_no_function_is_none_and_answers_nothing():
    none = Callbacks("on_epoch_end", None)
    assert not none and not none.end_training(History())
    assert Callbacks("on_batch_end", [lambda at: at.batch < 2]).end_training(BatchEnd(1, 2, 0.5, 0.1))
