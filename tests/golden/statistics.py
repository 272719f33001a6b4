"""Writes statistics.json: Student's t, paired and Welch's tests by scipy 1.17.1.

python tests/golden/statistics.py > tests/golden/statistics.json
"""
import json

import scipy
from scipy import stats

student = [
    {"t": t, "degrees": n, "p": 2 * stats.t.sf(t, n)}
    for n in (1, 2, 2.5, 3.7, 4, 10, 29, 1000, 1e6)
    for t in (0, 0.01, 0.5, 1, 2, 4.3, 12.7, 100)
]
quantiles = [
    {"confidence": c, "degrees": n, "t": stats.t.ppf(0.5 + c / 2, n)} for n in (1, 2, 3.3, 4, 9, 60) for c in (0.5, 0.9, 0.95, 0.99)
]

samples = [
    ([0.9125, 0.9195, 0.9150], [0.9205, 0.9240, 0.9230]),
    ([0.88, 0.91, 0.87, 0.90, 0.89], [0.892, 0.909, 0.881, 0.9015, 0.8965]),
    ([0.5, 0.7], [0.61, 0.62]),
]
uneven = [([0.91, 0.92, 0.915, 0.905], [0.93, 0.925]), ([0.1, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25])]


def entry(test, a, b):
    interval = test.confidence_interval(0.95)
    return {"a": a, "b": b, "t": test.statistic, "degrees": float(test.df), "p": test.pvalue, "low": interval.low, "high": interval.high}


paired = [entry(stats.ttest_rel(a, b), a, b) for a, b in samples]
welch = [entry(stats.ttest_ind(a, b, equal_var=False), a, b) for a, b in samples + uneven]
print(json.dumps({"scipy": scipy.__version__, "student": student, "quantiles": quantiles, "paired": paired, "welch": welch}, indent=1))
