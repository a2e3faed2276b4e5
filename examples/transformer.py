"""A small causal transformer learns a rhyme, character by character, and writes lines of its own."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, MOMENTUM, CLIP = 12, 16, 0.2, 0.9, 1.0
CONTEXT, FEATURES, HEADS, BLOCKS = 16, 64, 4, 2
TEXT = """\
The boat goes out, the boat comes in, and with the boat the fish come in.
The cat comes down, the cat looks on, and when the cat goes, fish are gone.
The gull sits on the harbour wall and does not mind the wind at all.
The wind goes round the harbour light and sings to it for half the night.
The light goes round and does not sing, it has to look at everything:
the boat, the cat, the fish, the gull, the harbour when the harbour is full.
The girl who counts the boats at sea has counted two, has counted three,
and when the fourth comes round the wall she runs and tells it to them all.
The moon comes up, the tide goes out, the crabs come out and walk about.
The tide comes in, the moon goes down, and all the bells ring in the town.
"""
CHARACTERS = sorted(set(TEXT))


def block(D: int) -> list[mn.Layer]:
    attention = mn.Residual(mn.LayerNorm(D), mn.MultiHeadAttention(D, HEADS, causal=True))
    return [attention, mn.Residual(mn.LayerNorm(D), mn.Linear(D, 4 * D), mn.GELU("tanh"), mn.Linear(4 * D, D))]


def write(model: mn.Sequential, voices: int, length: int, state: tuple | None = None) -> list[str]:
    """What voices write side by side, a step a character; a context that is full begins anew from its last half."""
    unread = told = [np.full(voices, CHARACTERS.index(character)) for character in "\nThe "]
    while len(told) < length:
        for ids in unread:
            p, state = model.step(ids, state)
        p = p**1.5  # likely characters a little more often
        told.append(np.array([mn.generator().choice(len(row), p=row / row.sum()) for row in p]))
        state, unread = (state, told[-1:]) if len(told) % (CONTEXT // 2) else (None, told[-CONTEXT // 2 :])
    return ["".join(CHARACTERS[i] for i in voice[1:]) for voice in zip(*told)]


def main(epochs: int = EPOCHS, seed: int = 0) -> float:
    mn.seed(seed)
    windows = np.lib.stride_tricks.sliding_window_view([CHARACTERS.index(c) for c in TEXT], CONTEXT + 1)
    train = mn.Batches(windows[:, :-1], windows[:, 1:], BATCH, dtype=None)
    embedding = mn.Embedding(len(CHARACTERS), FEATURES), mn.PositionalEmbedding(CONTEXT, FEATURES)
    blocks, norm = (layer for _ in range(BLOCKS) for layer in block(FEATURES)), mn.LayerNorm(FEATURES)
    model = mn.Sequential(*embedding, *blocks, norm, mn.Linear(FEATURES, len(CHARACTERS)), mn.SoftmaxCrossEntropy())
    optimizer = mn.SGD(model.parameters(), mn.linear_decay(LR, epochs * len(train)), MOMENTUM, clip_norm=CLIP)
    for epoch in range(epochs):
        print(f"after {epoch:2} epochs: {write(model, 1, 70)[0]!r}")
        mn.fit(model, optimizer, train, 1, progress=False)
    accuracy = mn.accuracy(windows[:, -1], mn.predict(model, windows[:, :-1])[:, -1])
    print(f"\nIt predicts {accuracy:.1%} of the text's characters, and writes (lines with a + are its own):")
    for voice in write(model, voices=8, length=160):
        print(*(f"{' ' if line in TEXT else '+'} {line}" for line in voice.splitlines()[:-1]), sep="\n")
    return accuracy


if __name__ == "__main__":
    main()
