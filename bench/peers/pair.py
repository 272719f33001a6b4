"""Two processes joined by gloo on the loopback interface, and the clock of the Python exchanges."""

import argparse
import json
import os
import statistics
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing


def resnet18_sizes(num_parameters):
    """As in bench/exchange.cc: a ResNet-18 for CIFAR-100 where the number is its own, else 62 equal tensors."""
    sizes = []

    def block(inputs, outputs, kernel):
        sizes.extend([inputs * outputs * kernel * kernel, outputs, outputs])

    block(3, 64, 3)
    inputs = 64
    for width in (64, 128, 256, 512):
        block(inputs, width, 3)
        block(width, width, 3)
        if inputs != width:
            block(inputs, width, 1)
        block(width, width, 3)
        block(width, width, 3)
        inputs = width
    sizes.extend([51200, 100])
    if sum(sizes) == num_parameters:
        return sizes
    sizes = [num_parameters // 62] * 62
    sizes[-1] += num_parameters % 62
    return sizes


def start_of(rank, num_parameters):
    """Whole numbers below 2^23, exact in float32, odd on one rank and even on the other."""
    return (torch.arange(num_parameters) % 4000000).mul_(2).add_(rank).to(torch.float32)


def swap(rank, send, receive):
    """Both sides send first and ask later: the fastest way between two gloo processes that we know."""
    request = dist.isend(send, 1 - rank)
    dist.recv(receive, 1 - rank)
    request.wait()


def quiet(seconds):
    """The tenth percentile, as in bench/measure.h: what the work costs when nothing else wants the cores."""
    return sorted(seconds)[int(0.1 * len(seconds))]


def measure(rank, make_exchange, p, arguments):
    """The slower rank's milliseconds, whole and in transfers."""
    theta = start_of(rank, arguments.parameters)
    exchange = make_exchange(rank, theta, p, arguments)
    whole, transfer = [], []
    for step in range(arguments.warm_up + arguments.repetitions):
        dist.barrier()
        start = time.perf_counter()
        moved, seconds = exchange(step)
        times = torch.tensor([time.perf_counter() - start, seconds], dtype=torch.float64)
        dist.all_reduce(times, op=dist.ReduceOp.MAX)
        if step >= arguments.warm_up:
            whole.append(times[0].item())
            transfer.append(times[1].item())
    check(rank, theta)
    return {"p": p, "median_ms": statistics.median(whole) * 1e3, "quiet_ms": quiet(whole) * 1e3,
            "quiet_transfer_ms": quiet(transfer) * 1e3, "moved": int(moved)}


def check(rank, theta):
    """No value was lost: the sum over both members of every coordinate is what it was (whole numbers, exact)."""
    expected = sum(start_of(r, theta.numel()).double() for r in (0, 1))
    total = theta.to(torch.float64)
    dist.all_reduce(total)
    assert torch.equal(total, expected), "a value was lost"


def worker(rank, folder, name, make_exchange, arguments):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for p in arguments.p:
        row = measure(rank, make_exchange, p, arguments)
        if rank == 0:
            print(json.dumps({"peer": name, "parameters": arguments.parameters, "torch": torch.__version__, **row}),
                  flush=True)
    dist.destroy_process_group()


def run(name, make_exchange, description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--parameters", type=int, default=11220132)
    parser.add_argument("--p", type=lambda text: [float(item) for item in text.split(",")], default=[0.001, 0.01, 0.05])
    parser.add_argument("--repetitions", type=int, default=21)
    parser.add_argument("--warm-up", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(worker, (folder, name, make_exchange, arguments), nprocs=2)
