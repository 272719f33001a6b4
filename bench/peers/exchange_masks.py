"""The exchange as the public codes write it: a Bernoulli mask over every tensor, a boolean gather, one message a tensor,
masked_scatter. Both sides draw the masks and the permutations from the same seed. Two processes, gloo on loopback."""

import time

import torch

import pair


def make_exchange(rank, theta, p, arguments):
    tensors = theta.split(pair.resnet18_sizes(arguments.parameters))
    rate = min(1.0, 2 * p)  # half of the permutations of two members move nothing

    def exchange(step):
        generator = torch.Generator().manual_seed(1000003 * step + 1)
        moved, transfer = 0, 0.0
        for tensor in tensors:
            mask = torch.rand(tensor.shape, generator=generator) < rate
            values = tensor[mask]
            swapped = torch.rand(values.shape, generator=generator) < 0.5
            received = torch.empty_like(values)
            start = time.perf_counter()
            if values.numel():
                pair.swap(rank, values, received)
            transfer += time.perf_counter() - start
            tensor.masked_scatter_(mask, torch.where(swapped, received, values))
            moved += int(swapped.sum())
        return moved, transfer

    return exchange


if __name__ == "__main__":
    pair.run("masks", make_exchange, __doc__)
