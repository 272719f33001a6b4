"""The logarithms of comm/geometric.h in Python, whose floats are IEEE doubles too: prints the golden numbers of
tests/comm/geometric_test.cc beside the library's own logarithm. Any Python 3; no dependency."""

import math
import struct

SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
LOG2 = float.fromhex("0x1.62e42fefa39efp-1")
MASK = (1 << 64) - 1


def bits_of(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def from_bits(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def twice_atanh(z, last):
    total = 0.0
    for k in range(last, 0, -2):
        total = total * (z * z) + 1.0 / k
    return 2 * z * total


def minus_log_of_uniform(k):
    bits = bits_of(float(k))
    exponent = (bits - bits_of(SQRT_HALF)) >> 52
    mantissa = from_bits(bits - (exponent << 52))
    result = (53 - exponent) * LOG2 - twice_atanh((mantissa - 1) / (mantissa + 1), 19)
    return result if result > 0 else 0.0


def minus_log_of_complement(q):
    if q <= 0.5:
        return twice_atanh(q / (2 - q), 41)
    mantissa, exponent = math.frexp(1 - q)
    return twice_atanh((1 - mantissa) / (1 + mantissa), 41) - exponent * LOG2


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
