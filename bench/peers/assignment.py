"""Times scipy's linear_sum_assignment beside bench_assignment on the same matrices, and prints the ratios.

python bench/peers/assignment.py build/release/bin/bench_assignment [SIZE ...]   (rank1 beyond 1024 is left out: minutes)
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment

program, sizes = sys.argv[1], sys.argv[2:] or ["512", "1024", "2048", "4096"]
print(f"scipy {scipy.__version__}; seconds, best of 3")
print(f"{'kind':>13} {'n':>5} {'basin':>9} {'scipy':>9} {'ratio':>7}  totals differ by")
with tempfile.TemporaryDirectory() as folder:
    for size in sizes:
        output = subprocess.run([program, "--n", size, "--dump", folder], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            ours = json.loads(line)
            path = os.path.join(folder, f"{ours['kind']}_{size}.f64")
            gains = np.fromfile(path).reshape(int(size), int(size))
            os.remove(path)
            if ours["kind"] == "rank1" and int(size) > 1024:
                print(f"{ours['kind']:>13} {size:>5} {ours['seconds']:9.4f} {'-':>9}")
                continue
            seconds = []
            for _ in range(3 if ours["kind"] != "rank1" else 1):
                start = time.perf_counter()
                rows, columns = linear_sum_assignment(gains, maximize=True)
                seconds.append(time.perf_counter() - start)
            total = gains[rows, columns].sum()
            print(f"{ours['kind']:>13} {size:>5} {ours['seconds']:9.4f} {min(seconds):9.4f} {min(seconds) / ours['seconds']:7.2f}"
                  f"  {abs(total - ours['total']) / abs(total):.1e}", flush=True)
