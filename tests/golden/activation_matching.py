"""Correlations of two small sets of activations by numpy.corrcoef (numpy 2.4.6): the golden numbers of
tests/merge/activation_statistics_test.cc."""

import numpy as np

UNITS, SAMPLES = 3, 40
unit = np.arange(UNITS)[:, None]
sample = np.arange(SAMPLES)[None, :]
# Quarters between -8 and 8, so that float32 holds them: exact in any library.
a = ((7 * sample * (unit + 1) + 3 * unit) % 65 - 32) / 4
b = ((11 * sample * sample + 5 * unit * sample) % 65 - 32) / 4
rectified_a, rectified_b = np.maximum(a, 0), np.maximum(b, 0)
for name, x, y in (("before", a, b), ("after", rectified_a, rectified_b)):
    print(name)
    for row in np.corrcoef(x, y)[:UNITS, UNITS:]:
        print("  {" + ", ".join(f"{value:.17g}" for value in row) + "},")
