"""A residual block of your own, made of containers, and what its skip connection is worth in a deep net."""

from collections.abc import Callable

import minnet as mn

EPOCHS, BATCH, LR, MOMENTUM, CLIP = 10, 32, 0.05, 0.9, 1.0
FEATURES, DEPTHS = 32, (1, 2, 4, 8, 16, 32)
SPLIT = 0  # the seed of the split, the same whatever the seed of the training


def layers(features: int) -> list[mn.Layer]:
    """The layers of a block; the norm in front keeps the scale of their input the same at any depth."""
    return [mn.LayerNorm(features), mn.Linear(features, features), mn.ReLU(), mn.Linear(features, features)]


class Plain(mn.Sequential):
    """y = f(x)"""

    def __init__(self, features: int) -> None:
        super().__init__(layers(features))


class Block(mn.Residual):
    """y = x + f(x)"""

    def __init__(self, features: int) -> None:
        super().__init__(layers(features))


def net(block: Callable[[int], mn.Layer], depth: int) -> mn.Sequential:
    blocks = [block(FEATURES) for _ in range(depth)]
    ends = mn.LayerNorm(FEATURES), mn.Linear(FEATURES, 10), mn.SoftmaxCrossEntropy()
    return mn.Sequential(mn.Linear(64, FEATURES), *blocks, *ends)


def main(epochs: int = EPOCHS, seed: int = 0) -> dict[str, list[float]]:
    mn.seed(seed)
    x_train, x_test, y_train, y_test = mn.train_test_split(*mn.load_digits(), rng=SPLIT)
    train = mn.Batches(x_train, y_train, BATCH)
    schedule = mn.linear_decay(LR, epochs * len(train))
    print(mn.summary(net(Block, 1), (64,)), end="\n\n")
    print("Accuracy on test digits, by the number of blocks:")
    result: dict[str, list[float]] = {"Plain": [], "Block": []}
    for depth in DEPTHS:
        for block in (Plain, Block):
            model = net(block, depth)
            optimizer = mn.SGD(model.parameters(), schedule, MOMENTUM, clip_norm=CLIP)
            mn.fit(model, optimizer, train, epochs, progress=False)
            accuracy = mn.evaluate(model, [(x_test, y_test)])["accuracy"]
            result[block.__name__].append(accuracy)
            print(f"{depth:3} {block.__doc__:12} {accuracy:6.1%} {'#' * round(50 * accuracy)}")
    return result


if __name__ == "__main__":
    main()
