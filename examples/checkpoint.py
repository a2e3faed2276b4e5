"""A training that is interrupted, resumes from its checkpoint and stops by itself; then the saved model in use."""

import sys
from collections.abc import Callable
from tempfile import TemporaryDirectory

import numpy as np

import minnet as mn

EPOCHS, BATCH, HIDDEN, LR, PATIENCE = 100, 32, 64, 0.005, 5
SPLIT = 0  # the seed of both splits


def net() -> mn.Sequential:
    return mn.Sequential(mn.Linear(64, HIDDEN), mn.ReLU(), mn.Linear(HIDDEN, 10), mn.SoftmaxCrossEntropy())


def report(history: mn.History) -> None:
    losses = history["val_loss"]
    print(f"epoch {len(losses):3}   val_loss {losses[-1]:.3f} {'#' * round(60 * losses[-1])}")


def interrupt(history: mn.History) -> None:
    if len(history["val_loss"]) > 4:
        raise KeyboardInterrupt  # as Ctrl-C does
    report(history)


def train(x: np.ndarray, y: np.ndarray, folder: str, epochs: int, callback: Callable[[mn.History], None]) -> None:
    """Train from the start, or from the checkpoint if there is one, and save the model of the best epoch."""
    mn.seed(0)
    x_train, x_val, y_train, y_val = mn.train_test_split(x, y, rng=SPLIT)
    model, batches, validation = net(), mn.Batches(x_train, y_train, BATCH), [(x_val, y_val)]
    adam, path = mn.Adam(model.parameters(), LR), f"{folder}/run.npz"
    history = mn.fit(
        model, adam, batches, epochs, validation, patience=PATIENCE, on_epoch_end=callback, checkpoint=path
    )
    mn.save(model, f"{folder}/model.npz")
    print(f"Stopped after epoch {len(history['val_loss'])}; saved: epoch {1 + np.argmin(history['val_loss'])}.")


def main(epochs: int = EPOCHS, folder: str | None = None) -> float:
    x, x_test, y, y_test = mn.train_test_split(*mn.load_digits(), rng=SPLIT)
    with TemporaryDirectory() as temporary:
        folder = folder or temporary
        try:
            train(x, y, folder, epochs, interrupt)
        except KeyboardInterrupt:
            print("Interrupted, and run again:")
            train(x, y, folder, epochs, report)
        model = net()
        mn.load(model, f"{folder}/model.npz")
    accuracy = mn.accuracy(y_test, mn.predict(model, x_test))
    print(f"Accuracy of the saved model on {len(y_test)} test digits: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main(EPOCHS, *sys.argv[1:])  # with a folder that exists, to keep the checkpoint and the model
