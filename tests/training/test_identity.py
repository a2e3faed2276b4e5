"""What tells a run from another: the same script has the same identity, and a change is told in a sentence."""

import json

import numpy as np
import pytest

from minnet import SGD, Adam, Batches, Dropout, Linear, ReLU, Sequential, SoftmaxCrossEntropy, cosine_decay
from minnet.optimizers.optimizer import numbers_of
from minnet.training.generators import Generators
from minnet.training.identity import (
    changes,
    completed,
    differences,
    identity_of,
    plain_numbers,
    with_steps_to_come,
    without_lr,
)
from minnet.training.run import Run
from minnet.training.updates import Updates

X, Y = np.ones((6, 4), np.float32), np.zeros(6, int)


def two_of(model, momentum=0.5):
    first, second = model[0].parameters(), model[2].parameters()
    return Updates(model, [SGD(first, lr=cosine_decay(0.1, 20)), SGD(second, 0.2, momentum)])


def run_of(between=ReLU, optimizer=lambda p: SGD(p, lr=cosine_decay(0.1, 20), momentum=0.9), rows=6, **others):
    model = Sequential(Linear(4, 3, rng=0), between(), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    optimizers = [optimizer(model.parameters())]
    return Run(model, Updates(model, optimizers), Batches(X[:rows], Y[:rows], 2, rng=1), 3, **others)


def identity(run):
    return identity_of(run, Generators(model=run.model, train=run.train))


def told(run, other):
    """Where a run is not the one whose identity a file has, in sentences."""
    notes = json.loads(
        json.dumps({"belongs to": identity(other), "numbers": plain_numbers(other.updates.optimizers[0])})
    )
    return list(differences(run, Generators(model=run.model, train=run.train), identity(run), notes))


def test_the_same_script_has_the_same_identity_also_through_a_file():
    assert identity(run_of()) == identity(run_of()) == json.loads(json.dumps(identity(run_of())))
    assert told(run_of(), run_of()) == []


def test_an_identity_does_not_depend_on_how_far_the_run_has_come():
    run, before = run_of(), identity(run_of())
    run.model.parameters()[0].data += 1
    run.updates.optimizers[0].step()
    run.position.epoch, run.position.batch = 2, 1
    assert identity(run) == before


OTHERS = {
    "another layer": (run_of(between=lambda: Dropout(0.5, rng=0)), ["the model:", "the generators:"]),
    "another optimizer": (run_of(optimizer=lambda p: Adam(p, lr=cosine_decay(0.1, 20))), ["the optimizer: SGD here"]),
    "a number for a schedule": (run_of(optimizer=lambda p: SGD(p, 0.1, 0.9)), ["its learning rate: a schedule here"]),
    "another momentum": (
        run_of(optimizer=lambda p: SGD(p, cosine_decay(0.1, 20), 0.8)),
        ["its numbers: momentum=0.9 here, momentum=0.8 in the file"],
    ),
    "fewer parameters": (run_of(optimizer=lambda p: SGD(p[:3], cosine_decay(0.1, 20), 0.9)), ["its parameters:"]),
    "fewer samples": (run_of(rows=4), ["train: 6 samples of (4,) in batches of 2, shuffle=True here, 4 samples"]),
    "a metric": (run_of(metrics={"f1": max}), ["the metrics: nothing here, f1 in the file"]),
}


@pytest.mark.rows(("other", "texts"), OTHERS.values(), ids=OTHERS)
def test_every_difference_is_told_with_what_is_here_and_what_is_in_the_file(other, texts):
    found = told(run_of(), other)
    assert all(any(sentence.startswith(text) for sentence in found) for text in texts), found


def test_numbers_that_a_callback_of_that_run_has_set_are_no_difference_for_who_has_set_them_too():
    other = run_of()
    notes = {"belongs to": identity(other)}
    other.updates.optimizers[0].momentum = 0.5
    notes["numbers"] = plain_numbers(other.updates.optimizers[0])
    assert list(differences(other, Generators(model=other.model, train=other.train), identity(other), notes)) == []


def test_an_identity_of_another_version_is_told_as_such_and_one_without_rates_is_completed():
    run = run_of()
    old = identity(run)
    del old["its learning rate"]
    old["the optimizer"] = "SGD, lr=<lambda>(0.1)"
    del old["batches of a step"], old["batches of an epoch"]
    assert completed(old, identity(run)) == identity(run)
    del old["the arrays"]
    generators = Generators(model=run.model, train=run.train)
    assert list(differences(run, generators, identity(run), {"belongs to": old})) == [
        "it was written by another version of minnet"
    ]


def test_what_a_callback_may_set_is_no_change_and_what_a_file_can_not_give_back_is_one():
    run, before = run_of(), identity(run_of())
    run.updates.optimizers[0].momentum = 0.1
    assert changes(run, before, identity(run)) == []
    run.train.batch_size, run.model[0].W.decay = 3, False
    size, decay = changes(run, before, identity(run))
    assert "0.W became 0.W, not decayed" in size and "batches of 2" in decay and "batches of 3" in decay


def test_the_numbers_of_an_optimizer_are_its_attributes_but_for_steps_and_what_is_no_number():
    _, optimizer = run_of(), Adam(Linear(2, 2).parameters(), lr=0.5)
    optimizer.note, optimizer.extra, optimizer.several = "x", np.float32(2), [1, 2]
    assert numbers_of(optimizer)["extra"] == 2 and not {"steps", "note", "several"} & plain_numbers(optimizer).keys()
    assert json.loads(json.dumps(plain_numbers(optimizer)))["lr"] == 0.5


def test_each_further_optimizer_has_keys_of_its_own_and_the_first_those_of_one():
    run, alone = run_of(), run_of()
    run.updates = two_of(run.model)
    assert list(identity(alone)) == [key for key in identity(run) if not key.startswith("optimizer 1, ")]
    assert identity(run)["optimizer 1, its numbers"]["lr"] == 0.2
    assert identity(run)["optimizer 1, its parameters"] == ["2.W", "2.b, not decayed"]
    other = run_of()
    other.updates = two_of(other.model, momentum=0.25)
    (sentence,) = told(run, other)
    assert sentence == "optimizer 1, its numbers: momentum=0.5 here, momentum=0.25 in the file"
    assert told(alone, other) == ["the optimizers: 1 here, 2 in the file"]


def test_batches_without_a_short_last_one_are_other_data():
    run, before = run_of(), identity(run_of())
    run.train.drop_last = False
    assert identity(run) == before
    run.train.drop_last = True
    assert identity(run)["train"] == before["train"] + ", drop_last=True"


def test_a_new_rate_is_no_difference_where_it_may_be_one():
    one, other = run_of(), run_of(optimizer=lambda p: SGD(p, 0.1, 0.9))
    notes = json.loads(json.dumps({"belongs to": identity(other), "numbers": {}}))
    generators = Generators(model=one.model, train=one.train)
    assert len(list(differences(one, generators, identity(one), notes))) == 2
    assert list(differences(one, generators, identity(one), notes, new_lr=True)) == []
    assert without_lr({"lr": 0.1, "momentum": 0.9}) == {"momentum": 0.9} and without_lr(None) is None


def test_the_steps_that_a_run_has_left_are_in_what_is_written():
    run = run_of(optimizer=lambda p: SGD(p, lr=lambda step: 1 / (1 + step)))
    before = identity(run)
    run.updates.optimizers[0].steps = 100_000
    written = with_steps_to_come(before, run, Generators(model=run.model))["its learning rate"]
    assert written.items() > before["its learning rate"].items()
    assert written["100003"] == 1 / 100_004 and "100003" not in before["its learning rate"]
