"""What fit makes of its arguments, and which of them can't go together."""

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, BatchNorm, Dropout, Linear, ReLU, Residual, Sequential, SoftmaxCrossEntropy
from minnet.training.conditions import check_progress, new_checkpoint, new_run

X, Y = np.ones((40, 3), np.float32), np.arange(40) % 2


def network():
    return Sequential(
        Linear(3, 4, rng=0), Sequential(BatchNorm(4), Residual(Dropout(0.5))), Linear(4, 2), SoftmaxCrossEntropy()
    )


def run_of(model=None, optimizer=None, train=(X, Y), epochs=3, validation=None, accumulate=1, steps=None):
    model = model or network()
    return new_run(
        model, optimizer or SGD(model.parameters(), 0.1), train, epochs, validation, None, None, accumulate, steps
    )


def test_arrays_become_batches_of_32_in_a_new_order_and_validation_slices_in_order():
    run = run_of(validation=(X, Y))
    assert (run.train.batch_size, run.train.shuffle, len(run.train.x)) == (32, True, 40)
    assert (run.validation.batch_size, run.validation.shuffle) == (40, False)
    assert run_of(train=(X[:5], Y[:5])).train.batch_size == 5, "fewer rows than a batch are one"
    assert run.values_checked


def test_an_epoch_is_as_long_as_it_is_told_or_as_the_data_are_or_unknown():
    assert run_of().length() == 2 and run_of(steps=7).length() == 7
    assert run_of(train=iter([(X, Y)]), steps=1).length() == 1

    class Unknown:
        def __iter__(self):
            yield X, Y

    assert run_of(train=Unknown()).length() is None


@pytest.mark.parametrize("accumulate", [0, 1.0, True, "2"])
def test_a_number_of_batches_to_a_step_that_can_not_be_is_refused(accumulate):
    with pytest.raises((TypeError, ValueError), match="fit: expected accumulate to be a"):
        run_of(accumulate=accumulate)


@pytest.mark.parametrize(("every", "accumulate"), [(2, 2), (4, 2), (6, 3), (1, 1)])
def test_a_checkpoint_is_written_between_steps(every, accumulate, tmp_path):
    assert new_checkpoint(run_of(accumulate=accumulate), tmp_path / "run", every, False).every == every


@pytest.mark.parametrize(("every", "accumulate"), [(1, 2), (3, 2), (6, 4)])
def test_a_checkpoint_with_half_of_a_step_in_it_is_refused(every, accumulate, tmp_path):
    with pytest.raises(ValueError, match=f"multiple of accumulate={accumulate}, since .* steps, got {every}"):
        new_checkpoint(run_of(accumulate=accumulate), tmp_path / "run", every, False)


def test_without_a_path_there_is_no_checkpoint_and_nothing_that_needs_one():
    assert new_checkpoint(run_of(), None, None, False) is None
    with pytest.raises(ValueError, match="expected a checkpoint to resume from with new_lr=True, got none"):
        new_checkpoint(run_of(), None, None, True)
    with pytest.raises(ValueError, match="expected a checkpoint to write every 5 batches, got none"):
        new_checkpoint(run_of(), None, 5, False)


def test_progress_is_a_flag_or_lines():
    assert [check_progress(value) for value in (True, np.False_, "lines")] == [True, False, "lines"]
    with pytest.raises(ValueError, match="expected progress to be True, False or \"lines\", got 'line'"):
        check_progress("line")
    with pytest.raises(TypeError, match="expected progress to be True or False, got 1"):
        check_progress(1)


def test_a_model_in_evaluation_mode_as_a_whole_is_trained_and_put_back():
    model = network().eval()
    before = model.state_dict()
    minnet.fit(model, SGD(model.parameters(), 0.1), (X, Y), 1, progress=False)
    assert not np.array_equal(model.state_dict()["1.0.running_mean"], before["1.0.running_mean"])
    assert not any(layer.training for layer in model.walk(minnet.Layer).values())


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (lambda model: model[1][0], r"got layer 1\.0, BatchNorm\(4\), in evaluation mode"),
        (lambda model: model[1][1], r"got layer 1\.1\.layers\.0, Dropout\(0\.5\), in evaluation mode"),
        (lambda model: model[1], r"got layer 1\.0, BatchNorm\(4\), in evaluation mode"),
        (lambda model: model[0], r"got layer 0, Linear\(3, 4, rng=0\), in evaluation mode"),
    ],
)
def test_a_part_in_evaluation_mode_is_told_how_to_stay_so_and_how_to_train(part, told):
    model = network()
    part(model).eval()
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    with pytest.raises(ValueError, match=told + r"; freeze\(\) it to keep it so, or call model.train\(\) to train all"):
        minnet.fit(model, SGD(model.parameters(), 0.1), (X, Y), 1)
    assert {name: array.tobytes() for name, array in model.state_dict().items()} == before
    minnet.fit(model.train(), SGD(model.parameters(), 0.1), (X, Y), 1)


def test_a_frozen_part_in_evaluation_mode_is_as_it_should_be():
    model = network()
    model[1][0].eval()
    model[1][0].frozen = True
    assert run_of(model).model is model


def test_what_holds_layers_may_have_another_mode_than_they():
    """A new Sequential of layers that were evaluated is in training mode itself."""
    evaluated = network().eval()
    again = Sequential(*evaluated[:2], ReLU().eval(), *evaluated[2:])
    assert again.training and run_of(again).model is again


def test_arguments_are_made_into_a_run_that_has_a_history_of_its_own():
    one, other = run_of(), run_of()
    assert one.history == {} and one.history is not other.history and one.metrics == {}
    assert isinstance(one.train, Batches) and one.steps_per_epoch is None
