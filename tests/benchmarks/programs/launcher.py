"""Run a command; print its seconds from start to end, the bytes of memory that it held at its peak, and its output.

The peak that the system tells of a process is never below what its parent held, so a small one must start it.
"""

import os
import subprocess
import sys
import time

start = time.perf_counter()
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as process:
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
if process.returncode:
    sys.exit(process.returncode)
unit = 1 if sys.platform == "darwin" else 1024
print(seconds, usage.ru_maxrss * unit, output)
