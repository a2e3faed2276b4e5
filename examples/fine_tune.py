"""A net that knows the digits 0 to 4 learns 5 to 9: its body frozen, and only a new head trained."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR = 12, 32, 0.1
FEW = 50  # labelled images of the second task


def conv_body() -> mn.Sequential:
    return mn.Sequential(
        *[mn.Conv2d(1, 16, 3, padding="same"), mn.BatchNorm(16), mn.ReLU(), mn.MaxPool2d(2)],
        *[mn.Conv2d(16, 32, 3, padding="same"), mn.BatchNorm(32), mn.ReLU(), mn.Flatten()],
    )


def with_head(body: mn.Sequential) -> mn.Sequential:
    return mn.Sequential(body, mn.Linear(512, 5), mn.SoftmaxCrossEntropy())


def train(model: mn.Sequential, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    optimizer = mn.SGD(model.parameters(), LR, momentum=0.9)  # leaves out what is frozen
    mn.fit(model, optimizer, mn.Batches(x, y, BATCH), epochs, progress=False)


def main(epochs: int = EPOCHS) -> tuple[float, float]:
    x, y = mn.load_digits()
    x, old = x.reshape(-1, 8, 8, 1), y < 5
    x_test, y_test = x[~old][FEW:], y[~old][FEW:] - 5

    mn.seed(0)
    body = conv_body()
    first = with_head(body)
    train(first, x[old], y[old], epochs)
    before = mn.evaluate(first, [(x[old], y[old])])

    second = with_head(body.freeze())
    train(second, x[~old][:FEW], y[~old][:FEW] - 5, 4 * epochs)
    print(mn.summary(second, (8, 8, 1)))
    from_scratch = with_head(conv_body())
    train(from_scratch, x[~old][:FEW], y[~old][:FEW] - 5, 4 * epochs)

    frozen, scratch = (mn.evaluate(model, [(x_test, y_test)])["accuracy"] for model in (second, from_scratch))
    print(f"Trained on {FEW} images of the digits 5 to 9, right on the others of these:")
    print(f"  {frozen:.1%} with the frozen body, {scratch:.1%} from scratch.")
    after = mn.evaluate(first, [(x[old], y[old])])
    print(f"The first task is where it was: {before['accuracy']:.1%} before, {after['accuracy']:.1%} after.")
    return frozen, scratch


if __name__ == "__main__":
    main()
