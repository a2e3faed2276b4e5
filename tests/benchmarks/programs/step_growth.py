"""Print the bytes by which this process grows in the first training steps of a net, and the norms of its weights after.

Called with the name of the net and of the contestant. The growth is the peak of the resident memory less what was
resident before the first step; the peak is that of the steps alone, since Linux begins anew when it is told to.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from nets import NETS
from training import net_contestants


def resident(which: str) -> int:
    """Bytes, as the kernel tells them: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(which))


name, who = sys.argv[1:]
contestant = net_contestants(NETS[name])[who]()
Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
before = resident("VmRSS")
contestant.run()
print(resident("VmHWM") - before, *(np.linalg.norm(array) for array in contestant.parameters()))
