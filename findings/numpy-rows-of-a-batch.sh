#!/usr/bin/env bash
# numpy 2.4.6 (its wheel's OpenBLAS 0.3.31), x86-64 with AVX2: a row of a product has other bits with other rows beside it.
#
# Behaviour: x[i:i+k] @ W against the same rows of x @ W, x (256, 64) and W (64, 10) in float32, one thread. With the kernels
#   for Haswell (those for Zen gave the same) the share of rows that are equal to the bit goes up and down with k: none at 1,
#   nearly all at 2, hardly any at 4 and 8, all at 12, three in four at 32.
# Surprise: an entry of the product is a sum over 64 values that no other row enters, and einsum's are the same for every k.
#   A single row may be expected to differ (it is a matrix-vector product), but not 4 rows where 2 and 12 do not. Of 16 rows the
#   first 12 are equal and the last 4 aren't: it fits tiles of 12 rows, and another order of adding for what is left over.
#   With the kernels for AVX-512 (OPENBLAS_CORETYPE=SkylakeX) all of these k but 1 give equal rows, so that a test with ==
#   passes on one processor and fails on another.
# What to do: compare predictions made in batches of different sizes with a tolerance; where bytes must be reproduced, keep the
#   size of the batch, the last and smaller one included.
# Seen: the text after `expected` below. OPENBLAS_CORETYPE picks the kernels, so that the processor's own don't matter.
set -euo pipefail
grep -qw avx2 /proc/cpuinfo || { echo "needs a processor with AVX2"; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq numpy==2.4.6

seen=$(OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 "$dir/venv/bin/python" <<'PY'
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(256, 64)).astype(np.float32)
W = rng.normal(size=(64, 10)).astype(np.float32)
for name, product in (("x @ W", np.matmul), ("einsum", lambda x, W: np.einsum("nd,dk->nk", x, W))):
    whole = product(x, W)
    for k in (1, 2, 4, 8, 12, 32):
        parts = np.concatenate([product(x[i : i + k], W) for i in range(0, 256, k)])
        equal = 100 * (parts == whole).all(axis=1).mean()
        close = "within" if abs(parts - whole).max() < 1e-5 else "not within"
        print(f"{name}, {k} rows at a time: {equal:.0f} % of the rows are equal, all {close} 1e-5")
PY
)
expected='x @ W, 1 rows at a time: 0 % of the rows are equal, all within 1e-5
x @ W, 2 rows at a time: 98 % of the rows are equal, all within 1e-5
x @ W, 4 rows at a time: 2 % of the rows are equal, all within 1e-5
x @ W, 8 rows at a time: 2 % of the rows are equal, all within 1e-5
x @ W, 12 rows at a time: 100 % of the rows are equal, all within 1e-5
x @ W, 32 rows at a time: 77 % of the rows are equal, all within 1e-5
einsum, 1 rows at a time: 100 % of the rows are equal, all within 1e-5
einsum, 2 rows at a time: 100 % of the rows are equal, all within 1e-5
einsum, 4 rows at a time: 100 % of the rows are equal, all within 1e-5
einsum, 8 rows at a time: 100 % of the rows are equal, all within 1e-5
einsum, 12 rows at a time: 100 % of the rows are equal, all within 1e-5
einsum, 32 rows at a time: 100 % of the rows are equal, all within 1e-5'
diff <(echo "$expected") <(echo "$seen") || { echo "changed: < as stated, > seen now"; exit 1; }
echo "as stated"
