"""Sequence to sequence: an encoder reads a word, and a decoder that looks back at it writes it backwards."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, CLIP, TRAIN, TEST = 8, 64, 0.005, 1.0, 10000, 1000
FEATURES, HIDDEN, HEADS, LONGEST, LETTERS = 16, 48, 4, 10, ".abcdefghijklmnopqrstuvwxyz"  # . begins and ends an answer


class Reverser(mn.Layer):
    """The encoder's last state is the decoder's first one, and all its states are what the decoder attends to."""

    def __init__(self) -> None:
        self.source, self.target = mn.Embedding(len(LETTERS), FEATURES), mn.Embedding(len(LETTERS), FEATURES)
        self.encoder, self.decoder = mn.GRU(FEATURES, HIDDEN), mn.GRU(FEATURES, HIDDEN)
        self.scores = mn.Linear(2 * HIDDEN, len(LETTERS))
        self.attention, self.loss = mn.CrossAttention(HIDDEN, HEADS), mn.SoftmaxCrossEntropy(ignore_index=-1)

    def forward(self, x: tuple[np.ndarray, np.ndarray], y: np.ndarray | None = None) -> float | np.ndarray:
        ids, lengths = x
        context, letter = self.encoder(self.source(ids), lengths), np.zeros(len(ids), int)
        state, written = self.encoder.last_state(), [letter]
        if y is not None:  # each letter is to follow those of y before it
            h = self.decoder((self.target(np.hstack([letter[:, None], np.maximum(y, 0)[:, :-1]])), state))
            return self.loss(self.scores(np.dstack([h, self.attention((h, context), lengths)])), y)
        while len(written) < LONGEST + 2:
            h, state = self.decoder.step(self.target(letter), state)
            both = np.hstack([h, self.attention((h[:, None], context), lengths)[:, 0]])
            written.append(letter := self.scores(both).argmax(axis=1))
        return np.stack(written[1:], axis=1)

    def backward(self) -> None:
        dh, dlooked = np.split(self.scores.backward(self.loss.backward()), 2, axis=-1)
        d, dcontext = self.attention.backward(dlooked)
        dtarget, dlast = self.decoder.backward(dh + d)
        self.target.backward(dtarget)
        self.source.backward(self.encoder.backward(dcontext, dlast))


def make(n: int, rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Words as (ids, lengths), and the same backwards with a point at the end, padded with -1."""
    words = [rng.integers(1, len(LETTERS), rng.integers(1, LONGEST + 1)) for _ in range(n)]
    return mn.pad_sequences(words), mn.pad_sequences([[*word[::-1], 0] for word in words], value=-1)[0]


def main(epochs: int = EPOCHS) -> float:
    mn.seed(0)
    train, (x, y), model = mn.Batches(*make(TRAIN, mn.generator(0)), BATCH), make(TEST, mn.generator(1)), Reverser()
    optimizer = mn.Adam(model.parameters(), mn.linear_decay(LR, epochs * len(train)), clip_norm=CLIP)
    mn.fit(model, optimizer, train, epochs, progress=False)
    right = (((written := mn.predict(model, x)) == y) | (y == -1)).all(axis=1)
    print(f"{right.mean():.1%} of {TEST} words that it has not seen are right, for example")
    for word, answer in zip(x[0][:8], written):
        print("{:>12} -> {}".format(*("".join(LETTERS[i] for i in ids).partition(".")[0] for ids in (word, answer))))
    return float(right.mean())


if __name__ == "__main__":
    main()
