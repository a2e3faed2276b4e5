"""save and load: what comes back, what is refused, and that a refused file changes nothing."""

import pickle
import re
import stat
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minnet import (
    SGD,
    Batches,
    BatchNorm,
    Buffer,
    CheckpointError,
    Dropout,
    Layer,
    Linear,
    Parameter,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    load,
    predict,
    save,
)


class Pieces(Layer):
    """Arrays of all kinds in all places; `start` makes those of two models differ."""

    def __init__(self, start=0):
        self.matrix = Parameter(np.arange(6).reshape(2, 3) + start)
        self.scalar = Parameter(np.float32(0.1) + start)
        self.empty = Parameter(np.zeros((0, 4)))
        self.columns = Parameter(np.asfortranarray(np.arange(6).reshape(2, 3) - start))
        self.every_other = Parameter(np.zeros(3))
        self.every_other.data = (np.arange(6, dtype=np.float32) + start)[::2]
        self.count = Buffer(5 + start)
        self.bytes = Buffer(np.array([0, 255 - start], np.uint8))
        self.large = Buffer(np.array([2**62 + start, -(2**63)]))
        self.flags = Buffer(np.array([start == 0, True]))
        self.mean = Buffer(np.array([np.nan, np.inf, -0.0, start]))
        self.swapped = Buffer(np.array([1, 300 + start], ">i2"))
        self.inner = {"a/b": [Parameter([1 + start])], "größe": (Sequential(Linear(2, 2), BatchNorm(2)),)}


NAMES = [
    *("matrix", "scalar", "empty", "columns", "every_other", "count", "bytes", "large", "flags", "mean", "swapped"),
    *("inner.a/b.0", "inner.größe.0.0.W", "inner.größe.0.0.b", "inner.größe.0.1.gamma", "inner.größe.0.1.beta"),
    *("inner.größe.0.1.running_mean", "inner.größe.0.1.running_var"),
]
X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 3


class Arrays(Layer):
    """Buffers and parameters by name."""

    def __init__(self, **arrays):
        for name, array in arrays.items():
            setattr(self, name, array)


def content(model):
    """All that a model holds, to the last bit, and where."""
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in model.state_dict().items()}


def classifier():
    model = Sequential(Linear(3, 4, rng=1), BatchNorm(4), Dropout(0.5, rng=2), Linear(4, 3, rng=3))
    return Sequential(*model, SoftmaxCrossEntropy())


def train(model, path, epochs=4, **options):
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    batches = Batches(X, Y, 4, rng=4)
    return fit(model, optimizer, batches, epochs, checkpoint=path, progress=False, **options)


# What comes back.


def test_model_of_all_kinds_of_arrays_comes_back_to_the_last_bit(tmp_path):
    saved, loaded = Pieces(), Pieces(start=3)
    assert content(saved).keys() == set(NAMES)
    equal = {name for name in NAMES if content(saved)[name] == content(loaded)[name]}
    assert equal == {"empty"} | {name for name in NAMES if name.startswith("inner.größe") and not name.endswith("W")}
    save(saved, tmp_path / "model")
    before = content(saved)
    load(loaded, tmp_path / "model")
    assert content(loaded) == content(saved) == before


def test_model_in_double_precision_comes_back_to_the_last_bit(tmp_path):
    saved = Pieces().astype(np.float64)
    saved.matrix.data[:] = np.pi
    save(saved, tmp_path / "model")
    loaded = Pieces(start=1).astype(np.float64)
    load(loaded, tmp_path / "model")
    assert content(loaded) == content(saved)
    assert loaded.matrix.data[1, 2] == np.pi


def test_double_precision_is_rounded_for_a_model_in_single(tmp_path):
    saved = Arrays(a=Parameter([0])).astype(np.float64)
    saved.a.data[:] = 0.1
    save(saved, tmp_path / "model")
    loaded = Arrays(a=Parameter([0]))
    load(loaded, tmp_path / "model")
    assert loaded.a.data.dtype == np.float32
    assert loaded.a.data[0] == np.float32(0.1)


def test_arrays_are_set_in_place_and_can_be_written_to(tmp_path):
    save(Pieces(start=2), tmp_path / "model")
    model = Pieces()
    states = list(model.walk(Parameter, Buffer).values())
    arrays = [state.data for state in states]
    load(model, tmp_path / "model")
    assert all(state.data is array for state, array in zip(states, arrays))
    assert all(array.flags.writeable for array in arrays)


def test_optimizer_made_before_loading_goes_on_with_what_was_loaded(tmp_path):
    save(Arrays(a=Parameter([5.0])), tmp_path / "model")
    model = Arrays(a=Parameter([1.0]))
    optimizer = SGD(model.parameters(), lr=0.5)
    load(model, tmp_path / "model")
    model.a.grad += 2
    optimizer.step()
    assert model.a.data.tolist() == [4.0]


def test_gradients_and_the_mode_are_not_touched(tmp_path):
    save(classifier(), tmp_path / "model")
    model = classifier().eval()
    model.parameters()[0].grad += 7
    load(model, tmp_path / "model")
    assert {layer.training for layer in model.walk(Layer).values()} == {False}
    assert (model.parameters()[0].grad == 7).all()


def test_predictions_are_the_same_after_loading(tmp_path):
    model = classifier()
    train(model, None)
    save(model, tmp_path / "model")
    other = classifier()
    assert (predict(other, X) != predict(model, X)).any()
    load(other, tmp_path / "model")
    assert predict(other, X).tobytes() == predict(model, X).tobytes()


def test_shared_parameter_is_saved_once(tmp_path):
    model = Sequential(Linear(2, 2, bias=False), Linear(2, 2, bias=False))
    model[1].W = model[0].W
    save(model, tmp_path / "model")
    with np.load(tmp_path / "model") as file:
        assert file.files == ["0.W"]


def test_model_without_arrays_is_saved_too(tmp_path):
    save(Sequential(SoftmaxCrossEntropy()), tmp_path / "model")
    load(Sequential(SoftmaxCrossEntropy()), tmp_path / "model")


# The file.


def test_numpy_reads_the_names_and_arrays_of_state_dict(tmp_path):
    model = Pieces()
    save(model, tmp_path / "model")
    with np.load(tmp_path / "model", allow_pickle=False) as file:
        assert file.files == NAMES
        assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in file.items()} == content(model)


def test_same_model_gives_the_same_bytes(tmp_path):
    model = Pieces()
    save(model, tmp_path / "a")
    save(model, tmp_path / "b")
    loaded = Pieces(start=1)
    load(loaded, tmp_path / "a")
    save(loaded, tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("name", ["model", "model.npz", "model.weights", "~", "a b.[c]*", "größe"])
@pytest.mark.parametrize("kind", [str, Path])
def test_path_is_the_one_given(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    save(classifier(), kind(name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    load(classifier(), kind(name))
    load(classifier(), tmp_path / name)


def test_mode_of_an_old_file_is_kept(tmp_path):
    save(Pieces(), tmp_path / "model")
    (tmp_path / "model").chmod(0o640)
    save(Pieces(start=1), tmp_path / "model")
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640


def test_link_is_followed_and_stays(tmp_path):
    first, second = Pieces(), Pieces(start=1)
    save(first, tmp_path / "first")
    (tmp_path / "latest").symlink_to("first")
    save(second, tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    load(first, tmp_path / "first")
    assert content(first) == content(second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "latest"]


def test_threads_may_save_different_models_at_once(tmp_path):
    models, errors = [Arrays(a=Parameter(np.full(2000, i))) for i in range(4)], []

    def save_often(i):
        try:
            for _ in range(10):
                save(models[i], tmp_path / f"{i}")
                load(models[i], tmp_path / f"{i}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=save_often, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]
    for i in range(4):
        load(models[0], tmp_path / f"{i}")
        assert (models[0].a.data == i).all()


def test_nothing_is_ever_pickled(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        pytest.fail("something was pickled or unpickled")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, fail)
    save(Pieces(), tmp_path / "model")
    load(Pieces(), tmp_path / "model")
    train(classifier(), tmp_path / "run", validation=[(X, Y)], patience=2)
    load(classifier(), tmp_path / "run")
    train(classifier(), tmp_path / "run", epochs=5, validation=[(X, Y)], patience=2)


# Checkpoints of fit.


@pytest.mark.parametrize("options", [{}, {"validation": [(X, Y)], "patience": 3}, {"checkpoint_every": 2}])
def test_checkpoint_of_fit_has_the_model_of_the_time_when_it_was_written(tmp_path, options):
    model, seen = classifier(), []
    train(model, tmp_path / "run", on_epoch_end=lambda history: seen.append(content(model)), **options)
    loaded = classifier()
    load(loaded, tmp_path / "run")
    assert content(loaded) == seen[-1]
    assert len({str(state) for state in seen}) == len(seen) >= 3


def test_best_epoch_in_a_checkpoint_is_not_taken_for_the_last(tmp_path):
    model, seen = classifier(), []
    scores = iter([3.0, 5.0, 1.0, 1.0])
    options = {"validation": [(X, Y)], "metrics": {"score": lambda y, p: next(scores)}, "mode": "max"}
    options |= {"patience": 3, "monitor": "val_score"}
    train(model, tmp_path / "run", on_epoch_end=lambda history: seen.append(content(model)), **options)
    loaded = classifier()
    load(loaded, tmp_path / "run")
    assert content(loaded) == seen[3]
    assert content(model) == seen[1]


def test_checkpoint_of_another_model_is_refused_without_the_names_of_training(tmp_path):
    train(classifier(), tmp_path / "run", validation=[(X, Y)], patience=3)
    model = Arrays(a=Parameter([1.0]))
    with pytest.raises(CheckpointError, match=r"missing a .*unexpected 0\.W") as caught:
        load(model, tmp_path / "run")
    assert "optimizer" not in str(caught.value)
    assert "best" not in str(caught.value)
    assert model.a.data.tolist() == [1.0]


# What is refused.


def test_message_lists_all_missing_unexpected_and_misshapen_names(tmp_path):
    save(
        Arrays(a=Parameter([1, 2]), b=Parameter([[1]]), c=Parameter(1), d=Buffer([1.5]), e=Parameter([0])),
        tmp_path / "model",
    )
    model = Arrays(
        a=Parameter([1, 2, 3]), b=Parameter([1]), d=Buffer([1]), e=Parameter([9]), f=Parameter([[4]]), g=Buffer(0)
    )
    before = content(model)
    with pytest.raises(CheckpointError) as caught:
        load(model, tmp_path / "model")
    message = str(caught.value)
    assert message.startswith(f"load: {tmp_path / 'model'} is not of this model: ")
    for part in [
        "missing f (1, 1)",
        "missing g ()",
        "unexpected c ()",
        "a has shape (2,), expected (3,)",
        "b has shape (1, 1), expected (1,)",
        "d holds float32, expected int64",
    ]:
        assert part in message
    assert not re.search(r"\be\b (has|holds|\()", message)
    assert content(model) == before


@pytest.mark.parametrize(
    "other",
    [
        Sequential(Linear(3, 4), Linear(4, 2)),
        Sequential(Linear(3, 4)),
        Sequential(Linear(3, 4), Linear(4, 3), Linear(3, 3)),
        Sequential(Linear(3, 4, bias=False), Linear(4, 3)),
        Sequential(Linear(4, 3), Linear(3, 4)),
        Linear(3, 4),
        Sequential(SoftmaxCrossEntropy()),
    ],
    ids=repr,
)
def test_other_models_are_refused_and_stay_as_they_were(tmp_path, other):
    save(Sequential(Linear(3, 4), Linear(4, 3)), tmp_path / "model")
    before = content(other)
    with pytest.raises(CheckpointError, match="is not of this model"):
        load(other, tmp_path / "model")
    assert content(other) == before


@pytest.mark.parametrize("model", [None, 3, "model", Linear, {"W": np.zeros(3)}, [Linear(1, 1)]], ids=str)
def test_what_is_no_model_is_refused(tmp_path, model):
    with pytest.raises(TypeError, match="save: expected model to be a Layer, got"):
        save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match="load: expected model to be a Layer, got"):
        load(model, tmp_path / "model")


@pytest.mark.parametrize("path", [None, 3, 1.5, b"model", ["model"], True], ids=str)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match=r"save: expected a path, a str or a pathlib\.Path, got"):
        save(Linear(1, 1), path)
    with pytest.raises(TypeError, match=r"load: expected a path, a str or a pathlib\.Path, got"):
        load(Linear(1, 1), path)


def test_missing_file_and_folder_are_named(tmp_path):
    model = Pieces()
    before = content(model)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(model, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(model, tmp_path / "nowhere" / "model")
    assert content(model) == before
    assert list(tmp_path.iterdir()) == []


def test_folder_is_no_file(tmp_path):
    model = Pieces()
    before = content(model)
    with pytest.raises(IsADirectoryError):
        save(model, tmp_path)
    with pytest.raises(OSError):
        load(model, tmp_path)
    assert content(model) == before
    assert list(tmp_path.iterdir()) == []


def test_file_of_numpy_is_loaded_if_it_has_the_names(tmp_path):
    model = Linear(1, 1)
    np.savez(tmp_path / "model.npz", W=np.array([[2.0]]), b=np.array([3.0], np.float32))
    load(model, tmp_path / "model.npz")
    assert (model.W.data.tolist(), model.b.data.tolist()) == ([[2.0]], [3.0])
    np.savez_compressed(tmp_path / "small.npz", W=np.array([[4.0]]), b=np.array([5.0], np.float32))
    with pytest.raises(CheckpointError, match=r"small\.npz is not a minnet file: it is compressed; .*np\.load"):
        load(model, tmp_path / "small.npz")
    assert (model.W.data.tolist(), model.b.data.tolist()) == ([[2.0]], [3.0])
    with np.load(tmp_path / "small.npz") as file:  # as the error advises
        model.load_state_dict(file)
    assert (model.W.data.tolist(), model.b.data.tolist()) == ([[4.0]], [5.0])
    np.savez(tmp_path / "objects.npz", W=np.array([[None]]), b=np.array([5.0], np.float32))
    with pytest.raises(CheckpointError, match=r"W\.npy in it holds object"):
        load(model, tmp_path / "objects.npz")
    assert (model.W.data.tolist(), model.b.data.tolist()) == ([[4.0]], [5.0])


def test_a_file_of_another_head_is_loaded_for_the_body_if_not_strict(tmp_path):
    trained, model = Sequential(Linear(3, 4), Linear(4, 2)), Sequential(Linear(3, 4), Linear(4, 5, bias=False))
    save(trained, tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"unexpected 1\.b .*1\.W has shape"):
        load(model, tmp_path / "model")
    left_out = load(model, tmp_path / "model", strict=False)
    assert (left_out.missing, left_out.unexpected, left_out.mismatched) == ([], ["1.b"], ["1.W"])
    np.testing.assert_equal(model[0].state_dict(), trained[0].state_dict())
    assert not any(load(trained, tmp_path / "model", strict=False)) and not any(load(trained, tmp_path / "model"))
    with pytest.raises(CheckpointError, match="is not of this model"):
        load(BatchNorm(3), tmp_path / "model", strict=False)
    with pytest.raises(TypeError, match="load: expected strict to be True or False, got 'no'"):
        load(trained, tmp_path / "model", strict="no")


def test_the_optimizer_in_a_checkpoint_is_not_left_out_but_no_part_of_the_model(tmp_path):
    train(classifier(), tmp_path / "run", validation=[(X, Y)], patience=2)
    assert not any(load(classifier(), tmp_path / "run", strict=False))


# A file that was damaged.


def damage(data, apart):
    """A file with each bit flipped that lies so many apart, and cut off at as many lengths."""
    for position in range(0, 8 * len(data), apart):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)
    for length in range(0, len(data), apart):
        yield data[:length]


# Each bit only at length; the number is prime to 8, so that each bit of a byte has its turn.
bits_apart = pytest.mark.parametrize("apart", [11, pytest.param(1, marks=pytest.mark.long)])


def outcomes(tmp_path, apart):
    """What loading damaged files comes to: "refused", "same", or a description of what should not be."""
    saved = Arrays(size=Parameter([1.5]), größe=Buffer([7, -1]))
    loaded = Arrays(size=Parameter([0.0]), größe=Buffer([0, 0]))
    before, after = content(loaded), content(saved)
    save(saved, tmp_path / "model")
    found = []
    (tmp_path / "damaged").touch()
    for data in damage((tmp_path / "model").read_bytes(), apart):
        with open(tmp_path / "damaged", "r+b") as file:  # several disks take their time when it is made empty first
            file.write(data)
            file.truncate()
        try:
            load(loaded, tmp_path / "damaged")
        except CheckpointError:
            found.append("refused" if content(loaded) == before else "refused, and yet changed the model")
        except BaseException as error:
            found.append(f"raised {error!r}")
        else:
            found.append("same" if content(loaded) == after else "other values")
        for state in loaded.walk(Parameter, Buffer).values():
            state.data.fill(0)
    return found


@bits_apart
def test_damaged_file_is_refused_or_gives_the_same_values(tmp_path, apart):
    found = outcomes(tmp_path, apart)
    assert set(found) == {"refused", "same"}
    assert found.count("refused") > len(found) / 2


@bits_apart
def test_damaged_file_would_be_found_to_give_other_values(tmp_path, apart, monkeypatch):
    monkeypatch.setattr(zipfile.ZipExtFile, "_update_crc", lambda *args: None)
    assert outcomes(tmp_path, apart).count("other values") >= 8 * 4 // apart + 8 * 16 // apart  # each bit of the arrays


def test_model_would_be_found_to_be_changed_by_half(tmp_path, monkeypatch):
    def load_by_half(model, state):
        for name, target in model.walk(Parameter, Buffer).items():
            if name not in state:
                raise ValueError(f"missing {name}")
            target.data[...] = state[name]

    monkeypatch.setattr(Layer, "load_state_dict", load_by_half)
    save(Arrays(a=Parameter([1.0])), tmp_path / "model")
    model = Arrays(a=Parameter([0.0]), b=Parameter([0.0]))
    before = content(model)
    with pytest.raises(CheckpointError):
        load(model, tmp_path / "model")
    assert content(model) != before


def test_a_checkpoint_of_several_optimizers_is_loaded(tmp_path):
    model, other = (Sequential(Linear(2, 3, rng=i), Linear(3, 2, rng=i), SoftmaxCrossEntropy()) for i in (0, 1))
    optimizers = [SGD(layer.parameters(), lr=0.1, momentum=0.9) for layer in model[:2]]
    batches = [(np.ones((4, 2), np.float32), np.array([0, 1, 1, 0]))]
    fit(model, optimizers, batches, 1, checkpoint=tmp_path / "run.npz", progress=False)
    assert load(other, tmp_path / "run.npz") == ([], [], [])
    assert np.array_equal(other[1].W.data, model[1].W.data)
