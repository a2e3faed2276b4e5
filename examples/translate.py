"""Sequence to sequence: an encoder reads numbers, and a decoder that looks back at it writes their sum."""

from typing import Any

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, CLIP = 20, 128, 0.005, 1.0
TRAIN, TEST, FEATURES, HIDDEN, HEADS = 20000, 1000, 16, 64, 4
SYMBOLS = "0123456789+."  # a point ends an answer, and begins it for the decoder
END, PADDING, LONGEST = SYMBOLS.index("."), -1, 5


class Translator(mn.Layer):
    """Reads (ids, lengths), with the last state as the decoder's first; the decoder's states attend to the encoder's.
    Scores of each symbol of y, given those before it; without y, it is asked for one symbol after the other.
    """

    def __init__(self) -> None:
        self.source, self.target = (mn.Embedding(len(SYMBOLS), FEATURES) for _ in range(2))
        self.encoder, self.decoder = mn.GRU(FEATURES, HIDDEN), mn.GRU(FEATURES, HIDDEN)
        self.attention = mn.CrossAttention(HIDDEN, HEADS)
        self.scores, self.loss = mn.Linear(2 * HIDDEN, len(SYMBOLS)), mn.SoftmaxCrossEntropy(ignore_index=PADDING)

    def forward(self, x: tuple[np.ndarray, np.ndarray], y: np.ndarray | None = None) -> Any:
        ids, lengths = x
        context = self.encoder(self.source(ids), lengths)
        if y is None:
            return self.write(context, lengths)
        before = np.hstack([np.full((len(y), 1), END), np.where(y == PADDING, END, y)[:, :-1]])
        states = self.decoder((self.target(before), self.encoder.last_state()))
        looked = self.attention((states, context), lengths)
        return self.loss(self.scores(np.concatenate([states, looked], axis=-1)), y)

    def backward(self) -> None:
        dstates, dlooked = np.split(self.scores.backward(self.loss.backward()), 2, axis=-1)
        d, dcontext = self.attention.backward(dlooked)
        dtarget, dlast = self.decoder.backward(dstates + d)
        self.target.backward(dtarget)
        self.source.backward(self.encoder.backward(dcontext, dlast))

    def write(self, context: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        symbol, state, written = np.full(len(lengths), END), self.encoder.last_state(), []
        for _ in range(LONGEST):
            h, state = self.decoder.step(self.target(symbol), state)
            looked = self.attention((h[:, None], context), lengths)[:, 0]
            written.append(symbol := self.scores(np.hstack([h, looked])).argmax(axis=1))
        return np.stack(written, axis=1)
