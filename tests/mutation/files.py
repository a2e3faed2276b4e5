"""Faults of data and of files: of what is checked when it is read, and written whole or not at all."""

from __future__ import annotations

FILES = {
    "data/batches": [
        (
            "chunk = size * max(1, room // max(1, size * row))",
            "chunk = max(size, room // max(1, row))",
            "data larger than a chunk give short batches in between",
        ),
        (
            "return batches + (rest > 0 and not self.drop_last)",
            "return batches",
            "the last, shorter batch is not counted",
        ),
        (
            "len(y) - len(y) % size if self.drop_last else len(y), size)",
            "len(y) - len(y) % size if self.drop_last and self.shuffle else len(y), size)",
            "a last batch that is shorter is left out of shuffled data only",
        ),
        ("        if not len(self):\n", "        if False:\n", "with drop_last there may be no batch at all"),
        (
            "room = CHUNK_BYTES if stored",
            "room = 2**40 if stored",
            "data in a file are read whole",
        ),
        (
            "if part.shape[:1] != given.shape[:1]:",
            "if len(part) < len(given):",
            "a transform that gives more rows is accepted",
        ),
    ],
    "data/rows": [
        ("order = rng.permutation(n)", "order = rng.integers(0, n, n)", "batches are drawn with replacement"),
        (
            "return data[rows].copy() if isinstance(rows, slice)",
            "return data[rows] if isinstance(rows, slice)",
            "who writes into a batch changes the data, where they are not shuffled",
        ),
        (
            "result[places] = data[start : start + len(places)]",
            "result[places] = data[int(rows[0]) : int(rows[0]) + len(places)]",
            "of a file, the first rows come again and again",
        ),
        ("            rows = rows[chunk:]\n", "            rows = rows[:0]\n", "rows of a block that is cut are lost"),
        (
            "// unit) * unit)",
            "// unit) * 1)",
            "blocks cut through what a file packs together",
        ),
    ],
    "data/digits": [
        ("/ 16, labels", "/ 15, labels", "the darkest pixels are above 1"),
    ],
    "data/preprocessing": [
        ("if array.size] or [arrays[0].dtype]", "]", "an empty sequence makes a float of ids"),
        (
            "except (MemoryError, OverflowError, ValueError):",
            "except MemoryError:",
            "a label beyond all memory is left to NumPy",
        ),
        ("C = int(labels.max()) + 1 if", "C = labels.max() + 1 if", "the largest label in bytes overflows"),
        (
            "            part = part - first\n",
            "            first, part = 0 * first, part.astype(np.float64)\n",
            "a constant feature leaves a remainder, which is then enlarged",
        ),
        (
            "+ np.square(m - mean) * (N * n / (N + n))",
            "+ 0 * N",
            "parts with different means are as one",
        ),
        (
            'y.astype(x.dtype if x.dtype.kind == "f" else np.float32, copy=False)',
            'y.astype(x.dtype if x.dtype.kind == "f" else np.float64, copy=False)',
            "standardized bytes become float64",
        ),
    ],
    "data/split": [
        ("else math.ceil(test_size * n)", "else int(test_size * n)", "the size of the test part is rounded down"),
        (
            "in_test = _stratified(y[order], size)",
            "in_test = _stratified(y, size)",
            "the split is stratified by the labels of other rows",
        ),
        ("count * float(size)", "count * size", "the shares of large classes wrap around where counts are int32"),
        (
            "        if is_stored(array):\n",
            "        if is_stored(x):\n",
            "labels in a file are read by NumPy, as it likes",
        ),
    ],
    "data/idx": [
        (
            "limit = min(GZIP_LIMIT * size, max(LARGE, LARGE_GZIP_LIMIT * size)) if packed else size",
            "limit = GZIP_LIMIT * size if packed else size",
            "a large gzip file may ask for a thousand times its size",
        ),
        ("while got := file", "if got := file", "only the first slice of the values is read"),
        (" or nonzero * dtype.itemsize > sys.maxsize:", ":", "a huge shape with no entries is left to NumPy"),
        ("if read < len(values) or file.read(1):", "if read < len(values):", "bytes after the end are overlooked"),
        (
            'array.byteswap(inplace=True).view(dtype.newbyteorder("="))',
            "array",
            "numbers keep the byte order of the file",
        ),
        (
            "(gzip.BadGzipFile, EOFError, zlib.error)",
            "(gzip.BadGzipFile, zlib.error)",
            "a gzip file that is cut off is no ValueError",
        ),
        ("(gzip.BadGzipFile, EOFError, zlib.error)", "(gzip.BadGzipFile, EOFError)", "a damaged gzip is no ValueError"),
        ("if not 1 <= axes <= 64 or", "if not 0 <= axes <= 64 or", "a single number is no array"),
        ('len(header) < 4 or header[:2] != b"\\0\\0" or', "len(header) < 4 or", "any file with a type is an IDX file"),
    ],
    "files/archive": [
        ("            os.fsync(file.fileno())\n", "", "what takes the old file's place is not on the disk"),
        (
            "        _flush_folder(path.parent)",
            "        pass",
            "the renaming is not on the disk",
        ),
        (
            "        os.replace(temporary, path)",
            "        path.unlink(missing_ok=True)\n        os.replace(temporary, path)",
            "killed between removing and renaming, there is no file",
        ),
        (
            "                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))",
            "                pass",
            "a private file becomes readable for others",
        ),
        (
            "if any(info.compress_type == ZIP_DEFLATED for info in members):",
            "if False:",
            "a compressed file is said to be damaged",
        ),
        ("if declared > size:", "if declared > 2**40:", "a size is believed before it is checked"),
        (
            "if len({info.filename for info in members}) < len(members):",
            "if False:",
            "of a name that is there twice the last counts",
        ),
        (
            "content = archive.read(info)  #",
            "m = archive.open(info)\n            m._expected_crc = None\n            content = m.read()  #",
            "a bit flip goes unseen",
        ),
        ("if counted != min(", "if counted > min(", "a count below what the directory lists goes unseen"),
        (
            'rf"\\.{re.escape(path.name[:LONGEST])}\\.',
            'rf"\\.{path.name[:LONGEST]}\\.',
            "the leftovers of a name with signs in it stay, or those of others go",
        ),
        (
            "                if fcntl:\n                    fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
            "",
            "the temporary file of a process that is writing is removed",
        ),
        (
            'f".{path.name[:LONGEST]}.{os.urandom(4).hex()}.tmp"',
            'f".{path.name}.{os.urandom(4).hex()}.tmp"',
            "a file whose name is as long as may be is not written",
        ),
        (
            "if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):",
            "if isinstance(error, MemoryError):",
            "an error of the disk is called damage",
        ),
        ('order="F" if columns_first else "C"', 'order="C"', "an array in columns comes back in another order"),
        ("resolved = Path(path).resolve()", "resolved = Path(path).absolute()", "a link is replaced by a file"),
        (
            "        temporary.unlink(missing_ok=True)\n        if fcntl:\n            os.close(lock)",
            "        if fcntl:\n            os.close(lock)",
            "a write that fails leaves its temporary file",
        ),
        (
            "        if os.fstat(lock).st_nlink:\n            return temporary, lock",
            "        return temporary, lock",
            "a temporary file that was taken for a leftover is written to",
        ),
        ('if dtype.kind not in "biuf":', 'if dtype.kind == "O":', "texts are taken for numbers"),
    ],
    "files/models": [
        (
            "(optimizer\\d*|best)/",
            "(optimizer\\d*)/",
            "a checkpoint with early stopping is not loaded",
        ),
        ("(optimizer\\d*|best)/", "(optimizer|best)/", "a checkpoint with two optimizers is not loaded"),
        ("    except ValueError as error:", "    except TypeError as error:", "another model is no CheckpointError"),
    ],
}
