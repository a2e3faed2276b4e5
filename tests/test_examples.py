"""What a reader may copy runs: the scripts, and the examples in docstrings."""

import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import minnet

ROOT = Path(minnet.__file__).parent.parent
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def writes_little(module: ModuleType) -> Callable[[minnet.Sequential, int, int], list[str]]:
    write = module.write
    return lambda model, voices, length: write(model, min(voices, 2), min(length, 30))


# What makes a script smaller for a quick test, and what it then prints after one epoch.
LESS = {
    "recurrent": {"SEQUENCES": lambda module: 320},
    "residual_block": {"DEPTHS": lambda module: (1, 16)},
    "tagger": {"TRAIN": lambda module: 400},
    "reverse": {"TRAIN": lambda module: 1000},
    "transformer": {"BLOCKS": lambda module: 1, "CONTEXT": lambda module: 8, "write": writes_little},
}
PRINTED = {
    "augmentation": r"without augmentation  [89]\d\.\d%   [2-6]",
    "checkpoint": r"^epoch   1   val_loss [01]\.\d{3} #+\n(.|\n)* of the saved model on 360 test digits: [7-9]\d\.\d%",
    "convnet": r"Accuracy on 360 test digits: [89]\d\.\d%",
    "custom_layer": r"the gradients are right(.|\n)*WrongScale\(4\): wrong gradient of g",
    "digits": r"Accuracy on 360 test digits: [89]\d\.\d%",
    "fine_tune": r"% with the frozen body, (.*) from scratch\.\nThe first task is where it was: (.*) before, \2 after",
    "own_optimizer": r" Lars: [789]\d\.\d% .*\n\nWrong: update left w as it was",
    "perceptron": r"Accuracy on 360 test digits: [89]\d\.\d%",
    "recurrent": r"GRU is wrong at  [a-h.]{40}\n\nAccuracy by (.|\n)*\n 30 ",
    "residual_block": r" 16 y = f\(x\) +[1-4]?\d\.\d% #+\n 16 y = x \+ f\(x\) +[5-9]\d\.\d% #+$",
    "siamese": r"trained on: [5-9]\d\.\d%\nHow often .*:\n +7 +8 +9\n( +[789]( +\d+%){3}\n?){3}$",
    "softmax_derivation": r"So do Linear and SoftmaxCrossEntropy: loss .*, gradient .* apart",
    "tagger": r"both ways: [5-9]\d\.\d% of the tags(.|\n)*\n    [().]{4,24}\n    [\^ ]*$",
    "reverse": r"\d% of 1000 words that it has not seen are right(.|\n)*\n +[a-z]+ -> [a-z]*$",
    "two_inputs": r"^both +[3-9]\d\.\d% #+\n(.|\n)*\n  0: Parallel\(...\) +\(N, 80\)",
    "transformer": r"It predicts [3-6]\d\.\d% of the text's characters",
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_for_an_epoch_and_prints_what_came_of_it(path, capsys, monkeypatch):
    module = script(path.stem)
    for name, less in LESS.get(path.stem, {}).items():
        monkeypatch.setattr(module, name, less(module))
    module.main(**{"epochs": 1} if "epochs" in inspect.signature(module.main).parameters else {})
    printed, errors = capsys.readouterr()
    assert re.search(PRINTED[path.stem], printed, flags=re.MULTILINE), printed
    assert not errors


@pytest.mark.parametrize(
    "path",
    [path if path.stem == "digits" else pytest.param(path, marks=pytest.mark.long) for path in SCRIPTS],
    ids=lambda path: path.stem,
)
def test_a_script_runs_on_its_own_and_prints_something(path, let_through):
    command = [sys.executable, "-W", "error", *let_through, path]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > 5
    assert not done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_at_most_sixty_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.long
@pytest.mark.parametrize(("name", "least"), [("reverse", 0.99), ("tagger", 0.99), ("two_inputs", 0.93)])
def test_a_script_reaches_what_it_is_there_to_show(name, least):
    assert script(name).main() >= least


@pytest.mark.long
def test_the_digits_are_learned_with_every_training_seed():
    digits = script("digits")
    assert min(digits.main(seed=seed) for seed in range(20)) >= 0.96


@pytest.mark.long
def test_the_digits_are_learned_on_random_splits(monkeypatch):
    digits = script("digits")
    accuracies = []
    for split in range(20):
        monkeypatch.setattr(digits, "SPLIT", split)
        accuracies.append(digits.main(seed=split))
    assert np.mean(accuracies) >= 0.965


def test_the_digits_are_learned_and_shown_with_errors_confusions_and_templates(capsys):
    assert script("digits").main() >= 0.96
    text = capsys.readouterr().out
    matrix = re.findall(r"^ ?\[+([\d ]+)\]+$", text, flags=re.MULTILINE)
    assert [len(row.split()) for row in matrix] == [10] * 10
    assert sum(int(n) for row in matrix for n in row.split()) == 360
    assert text.count(", taken for ") == 5
    templates = text.split("The weights")[1].splitlines()[1:]
    assert sum(len(line) == 5 * 16 + 4 * 3 for line in templates) == 2 * 9


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(SystemExit, match=r"\[plot\]"):
        script("digits").main(epochs=1, picture=str(tmp_path / "weights.png"))


def test_the_derivation_arrives_at_the_known_numbers():
    found = script("softmax_derivation").main()
    assert found["p"] == pytest.approx([0.01165623, 0.08612854, 0.63640865, 0.03168492, 0.23412166], abs=1e-8)
    assert found["loss"] == pytest.approx(0.6253721511650081, abs=1e-14)
    expected = [[0.01521943, 0.0413707, 0.11245721, -0.16904734], [0.23688282, -0.35608574, 0.0320586, 0.08714432]]
    assert found["P - Y"] == pytest.approx(np.array(expected), abs=1e-8)
    assert found["line"] == pytest.approx(found["loops"], abs=1e-12)
    assert found["layers"] == pytest.approx(found["loops"], abs=1e-12)


def test_the_layers_hold_the_known_numbers_too():
    p = minnet.Softmax()(np.array([1.0, 3, 5, 2, 4]))
    assert p == pytest.approx([0.01165623, 0.08612854, 0.63640865, 0.03168492, 0.23412166], abs=1e-8)
    loss = minnet.SoftmaxCrossEntropy()
    mean = loss(np.array([[1.0, 2, 3, 5], [4, 5, 2, 3]]), np.array([3, 1]))
    assert 2 * mean == pytest.approx(0.6253721511650081, abs=1e-14)
    expected = [[0.01521943, 0.0413707, 0.11245721, -0.16904734], [0.23688282, -0.35608574, 0.0320586, 0.08714432]]
    assert 2 * loss.backward() == pytest.approx(np.array(expected), abs=1e-8)


def test_the_custom_layer_example_catches_its_wrong_version():
    assert script("custom_layer").main().startswith("WrongScale(4): wrong gradient of g at ")


def test_a_frozen_body_learns_a_second_task_from_few_images(capsys):
    frozen, scratch = script("fine_tune").main()
    assert frozen > 0.75 and scratch > 0.6


def test_an_interrupted_training_resumes_stops_by_itself_and_leaves_nothing_behind(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert script("checkpoint").main() > 0.94
    runs = capsys.readouterr().out.split("Interrupted, and run again:\n")
    first, second = ([int(epoch) for epoch in re.findall(r"^epoch +(\d+) ", run, flags=re.MULTILINE)] for run in runs)
    stopped, saved = map(int, re.search(r"Stopped after epoch (\d+); saved: epoch (\d+)", runs[1]).groups())
    assert first == [1, 2, 3, 4]
    assert second == [*range(5, stopped + 1)]
    assert stopped == saved + 5
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_training_saves_the_same_bytes_as_one_that_is_not(capsys, monkeypatch, tmp_path):
    checkpoint = script("checkpoint")
    for name in ("interrupted", "straight"):
        (tmp_path / name).mkdir()
        checkpoint.main(8, str(tmp_path / name))
        monkeypatch.setattr(checkpoint, "interrupt", checkpoint.report)
    assert capsys.readouterr().out.count("Interrupted") == 1
    assert (tmp_path / "interrupted/model.npz").read_bytes() == (tmp_path / "straight/model.npz").read_bytes()


def test_a_training_that_is_over_is_loaded_from_its_folder_and_not_repeated(capsys, tmp_path):
    checkpoint = script("checkpoint")
    accuracy = checkpoint.main(5, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "run.npz"]
    assert capsys.readouterr().out.startswith("epoch   1 ")
    assert checkpoint.main(5, str(tmp_path)) == accuracy
    assert capsys.readouterr().out.startswith("Stopped after epoch 5;")


@pytest.mark.long
def test_the_perceptron_learns_the_digits():
    assert script("perceptron").main() >= 0.975


@pytest.mark.long
def test_optimizers_of_ones_own_learn_the_digits_as_well():
    accuracies = script("own_optimizer").main()
    assert list(accuracies) == ["SGD", "Lion", "Lars"] and min(accuracies.values()) > 0.95


@pytest.mark.long
def test_the_convolutional_net_learns_the_digits():
    assert script("convnet").main() >= 0.985


@pytest.mark.long
def test_gates_remember_what_a_plain_recurrent_net_forgets():
    rights = script("recurrent").main()
    assert rights["RNN"] < 0.7
    assert min(rights["LSTM"], rights["GRU"]) > 0.95


@pytest.mark.long
def test_depth_needs_skip_connections_around_the_layers():
    rates = script("residual_block").main()
    plain, residual = rates.values()
    assert residual[-1] > 0.95 > 0.5 > plain[-1]


@pytest.mark.long
def test_the_transformer_learns_its_text():
    assert script("transformer").main() > 0.95


@pytest.mark.parametrize(("epochs", "accuracy"), [(10, 0.6), pytest.param(40, 0.8, marks=pytest.mark.long)])
def test_augmentation_teaches_what_the_data_do_not_show(epochs, accuracy):
    accuracies = script("augmentation").main(epochs)
    assert accuracies["without"][1] < 0.6
    assert accuracies["with"][1] > accuracy


def test_examples_in_docstrings_hold():
    modules = [importlib.import_module(module.name) for module in pkgutil.walk_packages(minnet.__path__, "minnet.")]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0
