import numpy as np
import pytest


class Stored:
    """An array in a file, as h5py's: it gives slices, notes which were read, and fails if all are asked for."""

    def __init__(self, array, chunks=None):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, chunks
        self.read = []

    def __getitem__(self, rows):
        assert isinstance(rows, slice) and rows.step is None, rows
        self.read.append(rows.indices(len(self.array))[:2])
        return self.array[rows]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the whole file was read")


class Computed(Stored):
    """Numbered rows of 16 float32 that take no memory until they are read, then 64 bytes each."""

    def __init__(self, n):
        self.shape, self.dtype, self.chunks, self.read = (n, 16), np.dtype(np.float32), None, []

    def __getitem__(self, rows):
        start, stop, _ = rows.indices(self.shape[0])
        self.read.append((start, stop))
        return np.repeat(np.arange(start, stop, dtype=np.float32)[:, None], 16, axis=1)


@pytest.fixture
def stored():
    return Stored


@pytest.fixture
def computed():
    return Computed
