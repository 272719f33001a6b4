"""Writes assignment.json: totals of the best assignments of integer matrices, by scipy.optimize.linear_sum_assignment.

The matrices are rebuilt by the test from a formula, so only totals are stored: gains[i][j] = (a * i * i + b * i * j + c * j) % m.
Run with scipy 1.17.1: python tests/golden/assignment.py > tests/golden/assignment.json
"""
import json

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment


def total(n, a, b, c, m):
    i, j = np.ogrid[:n, :n]
    gains = ((a * i * i + b * i * j + c * j) % m).astype(float)
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return gains[rows, columns].sum()


cases = []
for n in (1, 2, 7, 33, 64, 150, 257):
    for a, b, c, m in ((3, 7, 11, 13), (31, 17, 101, 1009), (5, 1, 0, 2), (1009, 9176, 77, 1000003)):
        cases.append({"n": n, "a": a, "b": b, "c": c, "m": m, "total": total(n, a, b, c, m)})
print(json.dumps({"scipy": scipy.__version__, "cases": cases}, indent=0))
