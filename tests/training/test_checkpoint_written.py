"""When a checkpoint is written, what is in it, generators among that, and how an epoch goes on."""

import json

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, Dropout, Layer, Linear, Sequential, SoftmaxCrossEntropy
from minnet.files import archive
from minnet.files.archive import read
from minnet.training import checkpoint, fit
from minnet.training.checkpoint import Checkpoint
from minnet.training.generators import Generators
from minnet.training.run import Position, Run
from minnet.training.updates import Updates

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.arange(10) % 2


def parts(rng=1):
    """A model, and an optimizer of it."""
    model = Sequential(Linear(3, 2, rng=0), Dropout(0.5, rng=rng), SoftmaxCrossEntropy())
    return model, SGD(model.parameters(), lr=0.1, momentum=0.9)


def rows(rng=3, **options):
    return Batches(X, Y, 4, rng=rng, **options)


def new_checkpoint(train, path, validation=None, rng=1):
    model, optimizer = parts(rng)
    return Checkpoint(
        Run(model=model, updates=Updates(model, [optimizer]), train=train, epochs=3, validation=validation), path
    )


def place(path):
    """How far the run in a file has come, and its history."""
    notes = read(path)[1]
    return notes["position"]["epoch"], notes["position"]["batch"], len(notes["history"].get("loss", []))


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (None, [(1, 0), (2, 0)]),
        (1, [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]),
        (2, [(0, 2), (1, 0), (1, 2), (2, 0)]),
        (3, [(0, 3), (1, 0), (1, 3), (2, 0)]),
        (4, [(1, 0), (2, 0)]),
    ],
)
def test_the_checkpoint_is_written_at_each_epochs_end_and_every_few_batches(every, expected, tmp_path, monkeypatch):
    path, written = tmp_path / "run", []

    def write(to, arrays, notes):
        archive.write(to, arrays, notes)
        written.append(place(to))

    monkeypatch.setattr(checkpoint, "write", write)
    minnet.fit(*parts(), rows(), 2, checkpoint=path, checkpoint_every=every)
    assert written == [(epoch, batch, epoch) for epoch, batch in expected]


def test_an_epoch_is_in_the_file_after_its_callback_and_not_before(tmp_path):
    path, seen = tmp_path / "run", []

    def on_epoch_end(history):
        seen.append((len(history["loss"]), place(path) if path.exists() else None))

    minnet.fit(*parts(), rows(), 3, checkpoint=path, on_epoch_end=on_epoch_end)
    assert seen == [(1, None), (2, (1, 0, 1)), (3, (2, 0, 2))]
    assert place(path) == (3, 0, 3)


def test_what_a_callback_draws_and_adds_is_in_the_checkpoint(tmp_path):
    def script(epochs, path):
        minnet.seed(5)
        model, optimizer = parts(rng=None)

        def on_epoch_end(history):
            history.setdefault("drawn", []).append(float(minnet.generator().random()))

        history = minnet.fit(model, optimizer, rows(None), epochs, on_epoch_end=on_epoch_end, checkpoint=path)
        return values(model), history["drawn"]

    whole = script(4, None)
    script(2, tmp_path / "run")
    assert script(4, tmp_path / "run") == whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_exception_in_the_callback_leaves_the_checkpoint_of_the_epoch_before(error, tmp_path):
    def on_epoch_end(history):
        if len(history["loss"]) == 2:
            raise error

    with pytest.raises(error):
        minnet.fit(*parts(), rows(), 3, checkpoint=tmp_path / "run", on_epoch_end=on_epoch_end)
    assert place(tmp_path / "run") == (1, 0, 1)


def test_a_run_that_diverges_leaves_its_last_good_checkpoint(tmp_path):
    x = X.copy()
    x[9] = 3e38  # finite, but not what comes of it
    model, optimizer = parts()
    path, states = tmp_path / "run", []

    def watched(x, y):
        for i in range(0, 10, 2):
            states.append(values(model))
            yield x[i : i + 2], y[i : i + 2]

    class Data:
        def __iter__(self):
            return watched(x, Y)

    model[0].W.data[...] = 3.0
    with pytest.raises(FloatingPointError, match="epoch 1, batch 5"):
        minnet.fit(model, optimizer, Data(), 3, checkpoint=path, checkpoint_every=1)
    assert place(path) == (0, 4, 0)
    arrays = read(path)[0]
    assert {name: arrays[name].tobytes() for name in states[-1]} == states[-1] == values(model)
    minnet.load(model, path)


def test_an_update_that_is_not_finite_never_comes_into_the_file(tmp_path):
    model, _ = parts()
    optimizer = SGD(model.parameters(), lr=lambda step: 1e39 if step == 4 else 0.1, momentum=0.9)
    with pytest.raises(FloatingPointError, match=r"epoch 2, batch 2: after the update 0\.[Wb] holds"):
        minnet.fit(model, optimizer, rows(), 3, checkpoint=tmp_path / "run", checkpoint_every=1)
    arrays, notes = read(tmp_path / "run")
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (notes["position"]["epoch"], notes["position"]["batch"]) == (1, 1)


def test_a_schedule_is_not_asked_for_steps_that_never_come(tmp_path):
    """Two epochs of three batches have six steps, and a table of rates that many."""
    rates = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]
    model, _ = parts()
    optimizer = SGD(model.parameters(), lr=rates.__getitem__)
    history = minnet.fit(model, optimizer, rows(), 2, checkpoint=tmp_path / "run")
    assert len(history["loss"]) == 2 and optimizer.steps == 6


def test_a_loss_of_the_users_own_may_count_in_numpys_numbers(tmp_path):
    class Counting(SoftmaxCrossEntropy):
        def count_correct(self):
            return np.int64(1), np.int64(4)

    model = Sequential(Linear(3, 2, rng=0), Counting())
    optimizer = SGD(model.parameters(), lr=0.1)
    history = minnet.fit(model, optimizer, rows(), 2, checkpoint=tmp_path / "run", checkpoint_every=1)
    assert history["accuracy"] == [0.25, 0.25]
    assert read(tmp_path / "run")[1]["position"]["tally"] == {"right": 0, "counted": 0}


class Noise:
    """A transform with a generator of its own."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed) if isinstance(seed, int) else seed

    def __call__(self, x, rng):
        return x + self.rng.normal(0, 0.1, x.shape)


class Loader:
    """Data of the user's own, with what it draws from in lists, tuples, dicts and objects."""

    def __init__(self):
        self.inner = rows(transform=Noise(4))
        self.several = [(np.random.default_rng(5), {"deep": np.random.default_rng(6)})]

    def __iter__(self):
        return iter(self.inner)


def test_generators_are_found_in_the_model_and_in_data_each_once(tmp_path):
    shared = np.random.default_rng(9)
    validation = rows(shared, transform=Noise(7), extra=(np.ones(10),))
    validation.again = shared
    found = new_checkpoint(Loader(), tmp_path / "run", validation).generators.by_name
    assert list(found) == [
        "package",
        "model.1.rng",
        "train.inner.transform.rng",
        "train.inner.rng",
        "train.several.0.0",
        "train.several.0.1.deep",
        "validation.transform.rng",
        "validation.rng",
    ]
    assert found["package"] is minnet.generator()
    assert found["validation.rng"] is shared


def test_a_generator_of_the_optimizer_is_found(tmp_path):
    model, optimizer = parts()
    optimizer.rng = np.random.default_rng(4)
    found = Checkpoint(
        Run(model=model, updates=Updates(model, [optimizer]), train=rows(), epochs=3), tmp_path / "run"
    ).generators
    assert found.by_name["optimizer.rng"] is optimizer.rng


def test_a_generator_that_several_share_is_there_once(tmp_path):
    shared = np.random.default_rng(0)
    train = rows(shared)
    assert list(new_checkpoint(train, tmp_path, train, rng=shared).generators.by_name) == ["package", "model.1.rng"]
    assert list(new_checkpoint(rows(None), tmp_path, rng=None).generators.by_name) == ["package"]


def test_data_that_refer_to_themselves_are_looked_through_in_finite_time(tmp_path):
    loader = Loader()
    loader.me, loader.all = loader, [loader, loader]
    found = new_checkpoint(loader, tmp_path / "run").generators.by_name
    assert len({id(drawn) for drawn in found.values()}) == len(found) == 6


def test_looking_for_generators_does_not_walk_the_data(tmp_path):
    class Walked(list):
        def __iter__(self):
            raise AssertionError("it was walked")

    found = new_checkpoint(Walked([(X, Y)]), tmp_path / "run").generators.by_name
    assert list(found) == ["package", "model.1.rng"]


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_the_states_of_all_kinds_of_generators_pass_through_a_text(kind, tmp_path):
    drawn = np.random.Generator(getattr(np.random, kind)(0))
    generators = Generators(train=rows(drawn))
    drawn.integers(9, dtype=np.uint32)
    states = json.loads(json.dumps(generators.states()))
    following = drawn.integers(2**32, size=700, dtype=np.uint32), drawn.normal(size=700)
    generators.set_states(states)
    again = drawn.integers(2**32, size=700, dtype=np.uint32), drawn.normal(size=700)
    assert all(np.array_equal(a, b) for a, b in zip(following, again))


@pytest.mark.parametrize("make", [Loader, lambda: rows(transform=Noise(4)), rows])
@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_the_rest_of_a_walk_is_what_it_would_have_been(make, done, tmp_path):
    whole, begun = make(), new_checkpoint(make(), tmp_path / "run")
    expected = [x for x, _ in whole]
    walk = iter(begun.batches(0))
    for _ in range(done):
        next(walk)
    resumed = new_checkpoint(make(), tmp_path / "run")
    for drawn in resumed.generators.by_name.values():
        drawn.random()
    resumed.run.position, resumed.walk_began = Position(batch=done), begun.walk_began
    resumed.generators.set_states(begun.generators.states())
    left = [x for x, _ in resumed.batches(done)]
    assert len(left) == 3 - done
    if done:
        assert all(np.array_equal(a, b) for a, b in zip(left, expected[done:]))
    del walk


class Interrupt(Layer):
    """y = x, until its passes are counted down; then somebody presses Ctrl-C."""

    def forward(self, x):
        self.cache = x
        self.passed()
        return x

    def backward(self, dy):
        self.passed()
        return dy

    def passed(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_the_file_after_ctrl_c_at_any_moment_is_one_of_this_model(tmp_path):
    # Two epochs of three batches: a forward and a backward for each, and a forward to validate.
    for left in range(2 * (3 * 2 + 1)):
        path = tmp_path / str(left)
        model = Sequential(Linear(3, 2, rng=0), Interrupt(), SoftmaxCrossEntropy())
        model[1].left = left
        with pytest.raises(KeyboardInterrupt):
            minnet.fit(model, SGD(model.parameters(), lr=0.1), rows(), 2, [(X, Y)], checkpoint=path, checkpoint_every=1)
        assert path.exists() == (left >= 2)
        assert not any("cache" in vars(layer) for layer in model) and not model[0].W.grad.any()
        if path.exists():
            minnet.load(Sequential(Linear(3, 2), SoftmaxCrossEntropy()), path)
            epoch, batch, recorded = place(path)
            assert 3 * epoch + batch == (left - (left >= 7)) // 2 and recorded == epoch


def test_a_checkpoint_written_before_the_callback_would_be_noticed(tmp_path, monkeypatch):
    path, seen = tmp_path / "run", []
    ends_training = fit._ends_training

    def early(run, history):
        Checkpoint(run, path).write()
        return ends_training(run, history)

    monkeypatch.setattr(fit, "_ends_training", early)
    minnet.fit(*parts(), rows(), 2, checkpoint=path, on_epoch_end=lambda history: seen.append(place(path)))
    assert seen != [None, (1, 0, 1)]


def test_without_a_checkpoint_no_file_is_written_and_no_generator_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "Generators", None)
    minnet.fit(*parts(), rows(), 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["warm", None, [1.0, 2.0]])
def test_a_history_that_a_checkpoint_can_not_hold_is_told_by_its_column(value, tmp_path):
    def on_epoch_end(history):
        history.setdefault("phase", []).append(value)

    with pytest.raises(ValueError, match=r"expected numbers in the history, .* in phase$"):
        minnet.fit(*parts(), rows(), 3, checkpoint=tmp_path / "run", on_epoch_end=on_epoch_end)
