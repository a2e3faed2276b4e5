"""Which brackets have a partner? A net that reads both ways tags sequences of unequal length, padded in batches."""

import numpy as np

import minnet as mn

EPOCHS, BATCH, LR, CLIP = 30, 64, 0.01, 1.0
TRAIN, TEST, LONGEST, FEATURES, HIDDEN = 4000, 1000, 24, 8, 24
SYMBOLS = "()."


def make(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids (n, T) of brackets and dots, with lengths (n,), and labels (n, T): 1 for a bracket that has a partner."""
    sequences = [rng.integers(0, len(SYMBOLS), rng.integers(4, LONGEST + 1)) for _ in range(n)]
    ids, lengths = mn.pad_sequences(sequences)
    paired, _ = mn.pad_sequences([partners(sequence) for sequence in sequences])
    return ids, lengths, paired


def partners(sequence: np.ndarray) -> np.ndarray:
    paired, opened = np.zeros_like(sequence), []
    for t, symbol in enumerate(sequence):
        if SYMBOLS[symbol] == "(":
            opened.append(t)
        elif SYMBOLS[symbol] == ")" and opened:
            paired[[opened.pop(), t]] = 1
    return paired


def tagger(*readers: mn.Layer) -> mn.Layer:
    read = mn.Concatenate(*readers)
    scores = mn.Linear(len(readers) * HIDDEN, 2)
    return mn.Padded(mn.Embedding(len(SYMBOLS), FEATURES), read, scores, mn.SoftmaxCrossEntropy())


def main(epochs: int = EPOCHS) -> float:
    ids, lengths, paired = make(TRAIN, mn.generator(0))
    test_ids, test_lengths, test_paired = make(TEST, mn.generator(1))
    for name in ("forward alone", "both ways"):
        mn.seed(0)
        readers = [mn.LSTM(FEATURES, HIDDEN), *[mn.LSTM(FEATURES, HIDDEN, reverse=True)] * (name == "both ways")]
        model, train = tagger(*readers), mn.Batches((ids, lengths), paired, BATCH, rng=0)
        schedule = mn.linear_decay(LR, epochs * len(train))
        mn.fit(model, mn.Adam(model.parameters(), schedule, clip_norm=CLIP), train, epochs, progress=False)
        accuracy = mn.evaluate(model, ((test_ids, test_lengths), test_paired))["accuracy"]
        print(f"{name}: {accuracy:.1%} of the tags are right; ^ marks a bracket for which it sees a partner")
        tags = mn.predict(model, (test_ids[:4], test_lengths[:4])).argmax(axis=2)
        for sequence, length, tag in zip(test_ids, test_lengths, tags):
            print("   ", "".join(SYMBOLS[symbol] for symbol in sequence[:length]))
            print("   ", "".join("^" if one else " " for one in tag[:length]))
    return accuracy


if __name__ == "__main__":
    main()
