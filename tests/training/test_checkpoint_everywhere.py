"""A run that is stopped, wherever that may be, ends as one that never stopped: to the last bit.

This file is also the script of the run, for tests in which a process of its own dies.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Adam,
    Batches,
    BatchNorm,
    Dropout,
    Layer,
    Linear,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    cosine_decay,
    linear_warmup,
)
from minnet.files.archive import read
from minnet.training import checkpoint
from minnet.training.checkpoint import Checkpoint
from minnet.training.generators import Generators

SEED, OTHER_SEED = 8, 9
X = np.random.default_rng(0).normal(size=(18, 4)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)
WRONG = (Y + 1) % 3  # validated with these labels, a model gets worse from epoch to epoch


class Alarm:
    """Notes the moments of a run, and when the one with the given number has come, it stops the run."""

    def __init__(self, at=None):
        self.at, self.moments = at, []

    def __call__(self, moment):
        self.moments.append(moment)
        if len(self.moments) - 1 == self.at:
            self.ring()

    def ring(self):
        raise KeyboardInterrupt


class Killer(Alarm):
    """One that leaves the process no time to clean up."""

    def ring(self):
        os.kill(os.getpid(), signal.SIGKILL)


class AfterABatch(Alarm):
    """One that stops the run once a batch is done and in the file."""

    def __call__(self, moment):
        super().__call__(moment)
        if moment == "after the file was renamed" and "after the update" in self.moments:
            self.ring()


class Probe(Layer):
    """y = x; tells the alarm where the run is."""

    def forward(self, x):
        self.cache = x
        self.alarm("forward" if self.training else "validation")
        return x

    def backward(self, dy):
        self.alarm("backward")
        return dy


class Stream:
    """Data of the user's own: a new order in each walk, noise in each batch, and a draw after the last."""

    def __init__(self, rng):
        self.drawn_from = rng

    def __iter__(self):
        order = self.drawn_from.permutation(18)
        for rows in np.split(order, [4, 8, 12, 16]):
            yield X[rows] + self.drawn_from.normal(0, 0.1, (len(rows), 4)).astype(np.float32), Y[rows]
        self.drawn_from.random()


def noisy(x, rng):
    return x + rng.normal(0, 0.1, x.shape).astype(np.float32)


def error_rate(y_true, y_pred):
    return float((y_pred.argmax(axis=-1) != y_true).mean())


# Who draws, what is trained on, and with what.
VARIANTS = {
    "one generator for all": ("package", "batches", "momentum"),
    "a generator for each": ("own", "batches", "momentum"),
    "Adam": ("package", "batches", "adam"),
    "a transform": ("own", "transformed", "adam"),
    "a transform and one generator": ("package", "transformed", "momentum"),
    "a list of batches": ("package", "list", "momentum"),
    "data of the user's own": ("own", "stream", "momentum"),
}

# Which of them are stopped everywhere, and after how many batches each writes its checkpoint.
TRIED = [
    ("one generator for all", 1),
    ("one generator for all", None),
    ("a generator for each", 2),
    ("Adam", None),
    ("a transform", None),
    ("a transform and one generator", 2),
    ("a list of batches", None),
    ("data of the user's own", None),
]


def parts(variant, seed):
    """The model, the optimizer, the data to train on and those to validate with: new ones."""
    source, data, kind = VARIANTS[variant]
    minnet.seed(seed)
    rngs = [None if source == "package" else np.random.default_rng([seed, i]) for i in range(5)]
    model = Sequential(
        Linear(4, 6, rng=rngs[0]),
        BatchNorm(6),
        ReLU(),
        Dropout(0.3, rng=rngs[1]),
        Probe(),
        Linear(6, 3, rng=rngs[2]),
        SoftmaxCrossEntropy(),
    )
    schedule = linear_warmup(4, cosine_decay(0.3, 14, final=0.01))
    if kind == "adam":
        optimizer = Adam(model.parameters(), schedule, weight_decay=0.01)
    else:
        optimizer = SGD(model.parameters(), schedule, momentum=0.9, clip_norm=2.0)
    train = {
        "batches": lambda: Batches(X, Y, 4, rng=rngs[3]),
        "transformed": lambda: Batches(X, Y, 4, transform=noisy, rng=rngs[3]),
        "list": lambda: [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 18, 4)],
        "stream": lambda: Stream(rngs[3]),
    }[data]()
    return model, optimizer, train, Batches(X, WRONG, 9, rng=rngs[4])


def script(variant, path=None, every=None, alarm=None, seed=SEED):
    """What somebody calls again and again until it comes to its end. Returns all that came of it, in plain values."""
    alarm = alarm or Alarm()
    model, optimizer, train, validation = parts(variant, seed)
    model[4].alarm = alarm
    states, replace, update = {}, os.replace, optimizer.step

    def step():
        update()
        alarm("after the update")

    def renamed(*names):
        alarm("before the file is renamed")
        replace(*names)
        alarm("after the file was renamed")

    def on_epoch_end(history):
        alarm("callback")
        states[str(len(history["loss"]))] = digest(model.state_dict())

    optimizer.step = step
    # The disk itself is tried elsewhere; here, waiting for it would take most of the time.
    with mock.patch.object(os, "replace", renamed), mock.patch.object(os, "fsync", lambda file: None):
        history = minnet.fit(
            model,
            optimizer,
            train,
            epochs=4,
            validation=validation,
            metrics={"error": error_rate},
            patience=2,
            on_epoch_end=on_epoch_end,
            checkpoint=path,
            checkpoint_every=every,
        )
    drawing = [minnet.generator(), *model.walk(np.random.Generator).values(), validation.rng]
    drawing += [value for value in getattr(train, "__dict__", {}).values() if isinstance(value, np.random.Generator)]
    return {
        "model": digest(model.state_dict()),
        "optimizer": digest(optimizer.state_dict()),
        "generators": [repr(drawn.bit_generator.state) for drawn in drawing],
        "history": {name: [repr(v) for v in column] for name, column in history.items() if name != "seconds"},
        "epochs timed": len(history["seconds"]),
        "learning rate": repr(optimizer.lr_at(optimizer.steps - 1)),
        "file": content(path) if path else None,
        "states": states,
    }


def digest(state):
    """A state, to the last bit, in a text."""
    sums = {name: (str(np.asarray(a).dtype), np.asarray(a).tobytes()) for name, a in state.items()}
    return hashlib.sha256(repr(sums).encode()).hexdigest()


def content(path):
    """What a checkpoint holds, but for times."""
    arrays, notes = read(path)
    del notes["history"]["seconds"], notes["position"]["seconds"]
    return [digest(arrays), json.dumps(notes, sort_keys=True)]


def differences(whole, resumed):
    """In what a run that was taken up differs from a whole one; it passes through fewer of the epochs."""
    found = [what for what in whole if what != "states" and whole[what] != resumed[what]]
    return found + [f"epoch {n}" for n, state in resumed["states"].items() if whole["states"].get(n) != state]


def stopped(variant, path, every, at):
    """The run up to a moment; then it is stopped."""
    with pytest.raises(KeyboardInterrupt):
        script(variant, path, every, Alarm(at), seed_for(path))


def seed_for(path):
    """Another one where there is a checkpoint, so that nothing can come from anywhere but the file."""
    return OTHER_SEED if path.exists() else SEED


@cache
def never_stopped(variant, every):
    """What the whole run gives, and its moments."""
    alarm = Alarm()
    with TemporaryDirectory() as folder:
        return script(variant, Path(folder) / "run", every, alarm), alarm.moments


@cache
def without_a_file(variant):
    return script(variant)


def drawn(moments, seed):
    """The numbers of a few moments, each of another kind; seeds that follow each other draw the other kinds."""
    rng, kinds = np.random.default_rng(seed), [*dict.fromkeys(moments)]
    return [int(rng.choice(np.flatnonzero(np.array(moments) == kind))) for kind in kinds[seed % 2 :: 2]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_run_is_one_in_which_everything_matters(variant):
    whole = without_a_file(variant)
    assert whole["epochs timed"] == 3, "three epochs of the four, then patience is exhausted"
    losses = [float(value) for value in whole["history"]["val_loss"]]
    assert losses[0] == min(losses), "the first was the best"
    assert whole["model"] == whole["states"]["1"]
    assert len(set(whole["states"].values())) == 3


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("variant", VARIANTS)
def test_writing_a_checkpoint_changes_nothing(variant, every, tmp_path):
    assert differences(without_a_file(variant), never_stopped(variant, every)[0]) == ["file"]


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize(("variant", "every"), TRIED)
def test_a_run_stopped_at_any_moment_ends_as_one_that_never_stopped(variant, every, everywhere, tmp_path):
    path, (whole, moments) = tmp_path / "run", never_stopped(variant, every)
    assert moments.count("after the update") == 15
    assert moments.count("after the file was renamed") == {1: 18, 2: 9, None: 3}[every]
    for at in range(len(moments)) if everywhere else drawn(moments, TRIED.index((variant, every))):
        stopped(variant, path, every, at)
        resumed = script(variant, path, every, seed=seed_for(path))
        assert differences(whole, resumed) == [], f"stopped at moment {at}: {moments[at]}"
        assert os.listdir(tmp_path) == ["run"]
        path.unlink()


def test_the_moments_that_are_drawn_are_of_every_kind_and_in_every_part_of_a_run():
    kinds, epochs, batches = set(), set(), set()
    for i, (variant, every) in enumerate(TRIED):
        moments = never_stopped(variant, every)[1]
        for at in drawn(moments, seed=i):
            kinds.add(moments[at])
            epochs.add(moments[:at].count("callback"))
            batches.add(moments[:at].count("after the update") % 5)
    assert len(kinds) == 7 and epochs >= {0, 1, 2} and batches == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(("apart", "and_then"), [(60, 50), pytest.param(13, 31, marks=pytest.mark.long)])
def test_a_run_stopped_twice_ends_as_one_that_never_stopped(apart, and_then, tmp_path):
    variant, path, every = "a transform and one generator", tmp_path / "run", 1
    whole, moments = never_stopped(variant, every)
    for first in range(3, len(moments), apart):
        stopped(variant, path, every, first)
        left = Alarm()
        kept = path.read_bytes() if path.exists() else None
        script(variant, path, every, left, seed_for(path))
        for second in range(first % 5, len(left.moments), and_then):
            path.unlink()
            if kept:
                path.write_bytes(kept)
            stopped(variant, path, every, second)
            resumed = script(variant, path, every, seed=seed_for(path))
            assert differences(whole, resumed) == [], f"stopped at moments {first} and then {second}"
        path.unlink()


def test_a_run_stopped_after_every_single_step_comes_to_the_same_end(tmp_path):
    variant, path = "a generator for each", tmp_path / "run"
    whole, _ = never_stopped(variant, 1)
    for step in range(15):
        alarm = AfterABatch()
        with pytest.raises(KeyboardInterrupt):
            script(variant, path, 1, alarm, seed_for(path))
        position = read(path)[1]["position"]
        assert (position["epoch"], position["batch"]) == (step // 5, step % 5 + 1)
        assert alarm.moments.count("after the update") == 1
    assert differences(whole, script(variant, path, 1, seed=OTHER_SEED)) == []


def test_a_complete_run_is_not_run_again(tmp_path):
    variant, path = "one generator for all", tmp_path / "run"
    whole = script(variant, path, 1)
    alarm = Alarm()
    again = script(variant, path, 1, alarm, OTHER_SEED)
    assert alarm.moments == [] and differences(whole, again) == []


# Each is what reading would give if that part of a run had been forgotten, or taken up wrongly.
def forget_arrays(prefix):
    def fault(arrays, notes):
        for name in [name for name in arrays if name.startswith(prefix)]:
            arrays[name] = np.zeros_like(arrays[name])

    return fault


def forget_best(arrays, notes):
    for name in [name for name in arrays if name.startswith("best/")]:
        arrays[name] = arrays[name.removeprefix("best/")]


def set_note(section, name, value):
    def fault(arrays, notes):
        notes[section][name] = value

    return fault


def move(batches):
    def fault(arrays, notes):
        notes["position"]["batch"] += batches

    return fault


def nudge(arrays, notes):
    arrays["5.b"] = np.nextafter(arrays["5.b"], np.float32(9))


def lose_history(arrays, notes):
    notes["history"] = {}


def keep_the_order_of_another_walk(arrays, notes):
    notes["walk began"] = notes["generators"]


def start_generator_anew(name):
    def fault(arrays, notes):
        notes["generators"][name] = np.random.default_rng([SEED, 99]).bit_generator.state

    return fault


def start_tally_anew(arrays, notes):
    notes["position"]["tally"] = {"right": 0, "counted": 0}


FAULTS = {
    "the parameters off by one bit": nudge,
    "the buffers": forget_arrays("1.running"),
    "the moments": forget_arrays("optimizer/v"),
    "the step of the schedule": forget_arrays("optimizer/steps"),
    "the best epoch": forget_best,
    "the value of the best epoch": set_note("stopping", "lowest", 9e9),
    "the epochs waited": set_note("stopping", "waited", 0),
    "the history": lose_history,
    "one batch too far": move(1),
    "one batch too few": move(-1),
    "the number of the epoch": set_note("position", "epoch", 1),
    "the sum of the losses": set_note("position", "loss", 0.0),
    "the right predictions": start_tally_anew,
    "the order of the epoch": keep_the_order_of_another_walk,
    "the generator of the model": start_generator_anew("model.3.rng"),
    "the generator of the training data": start_generator_anew("train.rng"),
    "the generator of the validation data": start_generator_anew("validation.rng"),
    "the package's generator": start_generator_anew("package"),
}


def stopped_in_the_third_epoch(variant, path):
    """After the checkpoint of its third batch: by then, all that a file holds is of consequence."""
    moments = never_stopped(variant, 1)[1]
    writes = [at for at, moment in enumerate(moments) if moment == "after the file was renamed"]
    stopped(variant, path, 1, writes[5 + 1 + 5 + 1 + 3 - 1])
    position = read(path)[1]["position"]
    assert (position["epoch"], position["batch"]) == (2, 3)


@cache
def file_of_the_third_epoch(variant):
    with TemporaryDirectory() as folder:
        stopped_in_the_third_epoch(variant, Path(folder) / "run")
        return (Path(folder) / "run").read_bytes()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_is_not_taken_up_is_found_to_differ(fault, tmp_path, monkeypatch):
    variant, path = "a generator for each", tmp_path / "run"
    whole, _ = never_stopped(variant, 1)
    path.write_bytes(file_of_the_third_epoch(variant))

    def faulty(path):
        arrays, notes = read(path)
        fault(arrays, notes)
        return arrays, notes

    monkeypatch.setattr(checkpoint, "read", faulty)
    assert differences(whole, script(variant, path, 1, seed=OTHER_SEED)) != []


def forget_generators(monkeypatch):
    monkeypatch.setattr(Generators, "set_states", lambda self, states: None)


def go_on_with_a_new_walk(monkeypatch):
    whole = Checkpoint.batches

    def batches(self, done):
        self.walk_began = self.generators.states()
        return whole(self, done)

    monkeypatch.setattr(Checkpoint, "batches", batches)


def forget_to_return_from_the_walk(monkeypatch):
    """The batches that are done pass by, and the generators stay where that has brought them."""

    def batches(self, done):
        if not done:
            self.walk_began = self.generators.states()
            return self.run.train
        self.generators.set_states(self.walk_began)
        walk = iter(self.run.train)
        for _ in range(done):
            next(walk)
        return walk

    monkeypatch.setattr(Checkpoint, "batches", batches)


def forget_to_pass_by(monkeypatch):
    """The present epoch begins anew."""

    def batches(self, done):
        if done:
            self.generators.set_states(self.walk_began)
        self.walk_began = self.generators.states()
        return self.run.train

    monkeypatch.setattr(Checkpoint, "batches", batches)


def write_references_to_the_past(monkeypatch):
    """The file has the parameters of the checkpoint before."""
    write, late = checkpoint.write, []

    def stale(path, arrays, notes):
        late.append({name: array.copy() for name, array in arrays.items()})
        write(path, late[-2] if len(late) > 1 and late[-2].keys() == arrays.keys() else arrays, notes)

    monkeypatch.setattr(checkpoint, "write", stale)


BROKEN = [
    forget_generators,
    go_on_with_a_new_walk,
    forget_to_return_from_the_walk,
    forget_to_pass_by,
    write_references_to_the_past,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_code_that_resumes_wrongly_is_found_to_differ(broken, tmp_path, monkeypatch):
    variant, path = "a transform and one generator", tmp_path / "run"
    whole, _ = never_stopped(variant, 1)
    with monkeypatch.context() as patched:
        broken(patched)
        stopped_in_the_third_epoch(variant, path)
        resumed = script(variant, path, 1, seed=OTHER_SEED)
    assert differences(whole, resumed) != []


def dying_process(options, path, every, at):
    """The script in a process of its own, which dies at a moment."""
    package = str(Path(minnet.__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": package}
    command = [sys.executable, "-W", "error", *options, __file__, str(path), str(every), str(at)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("every", "at"), [(1, 57), *(pytest.param(*where, marks=pytest.mark.long) for where in [(1, 20), (2, 51)])]
)
def test_a_killed_process_is_taken_up_by_another_with_another_hash_seed(every, at, let_through, tmp_path):
    whole, _ = never_stopped("one generator for all", every)
    killed = dying_process(let_through, tmp_path / "run", every, at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "run").exists()
    assert hash("minnet") != int(killed.stderr)
    assert differences(whole, script("one generator for all", tmp_path / "run", every, seed=OTHER_SEED)) == []
    assert os.listdir(tmp_path) == ["run"]


if __name__ == "__main__":
    print(hash("minnet"), file=sys.stderr, flush=True)
    script("one generator for all", Path(sys.argv[1]), int(sys.argv[2]), Killer(int(sys.argv[3])))
