#!/usr/bin/env bash
# safetensors 0.8.0 with numpy 2.4.6: a transposed array comes back with its values in other places.
#
# Behaviour: safetensors.numpy.save and save_file write the memory of a Fortran-ordered array as it lies and its shape beside
#   it. The file is well formed, load gives the right shape and dtype and the wrong values. 0.7.0 gave the right ones.
# Surprise: `weight.T` is how a weight goes from one framework's (out, in) to another's (in, out), so it is just the array that
#   is saved after a conversion. The same package's torch side raises on such a tensor; the NumPy side says nothing. A square
#   weight can't even be noticed by its shape.
# What to do: save np.asarray(a, order="C"), for whatever isn't C-contiguous (np.ascontiguousarray would make shape (1,) of a
#   0-d array), and read old files of converted weights with suspicion.
# Seen: the text after `expected` below.
set -euo pipefail
shopt -s inherit_errexit
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"

seen=$(for version in 0.7.0 0.8.0; do
    "$dir/venv/bin/pip" install -qq numpy==2.4.6 safetensors==$version
    "$dir/venv/bin/python" - "$dir/weights.safetensors" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load_file, save_file

weight = np.arange(6, dtype=np.float32).reshape(2, 3)
arrays = {"C order": weight, "transposed": weight.T, "Fortran order": np.asfortranarray(weight),
          "transposed, copied": np.asarray(weight.T, order="C")}
save_file(arrays, sys.argv[1])
loaded = load_file(sys.argv[1])
for name, array in arrays.items():
    same = loaded[name].shape == array.shape and np.array_equal(loaded[name], array)
    print(f"{version('safetensors')} {name}: {'right' if same else loaded[name].tolist()}")
PY
done)
expected='0.7.0 C order: right
0.7.0 transposed: right
0.7.0 Fortran order: right
0.7.0 transposed, copied: right
0.8.0 C order: right
0.8.0 transposed: [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
0.8.0 Fortran order: [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]
0.8.0 transposed, copied: right'
diff <(echo "$expected") <(echo "$seen") || { echo "changed: < as stated, > seen now"; exit 1; }
echo "as stated"
