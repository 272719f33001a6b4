"""The exchange as well as we can write it in Python: geometric skips drawn in one vectorised call over the flat vector, one
index_select, one message, one index_copy. Two processes, gloo on loopback."""

import time

import numpy
import torch

import pair


def make_exchange(rank, theta, p, arguments):
    rate = min(1.0, 2 * p)  # half of the permutations of two members move nothing
    mean = arguments.parameters * rate
    num_draws = int(mean + 6 * mean**0.5 + 16)  # enough but for one exchange in 10^9

    def exchange(step):
        generator = numpy.random.Generator(numpy.random.SFC64((1, step)))
        selected = generator.geometric(rate, num_draws).cumsum() - 1
        selected = selected[: numpy.searchsorted(selected, arguments.parameters)]
        bits = numpy.unpackbits(numpy.frombuffer(generator.bytes(len(selected) // 8 + 1), numpy.uint8), count=len(selected))
        moved = torch.from_numpy(selected[bits.view(numpy.bool_)])
        values = theta.index_select(0, moved)
        received = torch.empty_like(values)
        start = time.perf_counter()
        pair.swap(rank, values, received)
        transfer = time.perf_counter() - start
        theta.index_copy_(0, moved, received)
        return len(moved), transfer

    return exchange


if __name__ == "__main__":
    pair.run("best", make_exchange, __doc__)
