"""The logarithms of comm/geometric.h in Python, whose floats are IEEE doubles too: prints the golden numbers of
tests/comm/geometric_test.cc beside the library's own logarithm. Any Python 3; no dependency."""

import math
import struct

LOG2 = float.fromhex("0x1.62e42fefa39efp-1")
MASK = (1 << 64) - 1


def bits_of(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def from_bits(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def twice_atanh(z):
    total = 0.0
    for k in range(41, 0, -2):
        total = total * z * z + 1.0 / k
    return 2 * z * total


CELLS = []
for i in range(256):
    inverse = 1 / (1 + (i + 0.5) / 256)
    CELLS.append((inverse, twice_atanh((1 - inverse) / (1 + inverse))))


def minus_log_of_uniform(k):
    bits = bits_of(float(k))
    mantissa = from_bits((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
    inverse, log = CELLS[(bits >> 44) & 255]
    r = mantissa * inverse - 1
    r2 = r * r
    log1p = r - r2 * ((1.0 / 2 - r * (1.0 / 3)) + r2 * (1.0 / 4 - r * (1.0 / 5)))
    result = (53 - ((bits >> 52) - 1023)) * LOG2 - log - log1p
    return result if result > 0 else 0.0


def minus_log_of_complement(q):
    if q <= 0.5:
        return twice_atanh(q / (2 - q))
    mantissa, exponent = math.frexp(1 - q)
    return twice_atanh((1 - mantissa) / (1 + mantissa)) - exponent * LOG2


def main():
    for k in (1, 0x123456789ABCD, (1 << 53) - 12345):
        print(hex(k), minus_log_of_uniform(k).hex(), (-math.log(k / 2**53)).hex())
    for q in (0.002, 0.1, 0.75):
        print(q, minus_log_of_complement(q).hex(), (-math.log1p(-q)).hex())
    total, k = 0, 88172645463325252
    for _ in range(100000):
        k ^= (k << 13) & MASK
        k ^= k >> 7
        k ^= (k << 17) & MASK
        total = ((total ^ bits_of(minus_log_of_uniform((k >> 11) + 1))) * 0x100000001B3) & MASK
    print("hash", hex(total))


if __name__ == "__main__":
    main()
