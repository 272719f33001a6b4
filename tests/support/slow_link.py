"""A slow cable between two network namespaces, for machines whose kernel cannot delay packets itself (tc netem): whatever one side sends
comes out of the other side after the latency, and no faster than the rate. Needs root. Runs until it is ended; says "up" when packets pass.

Usage: slow_link.py NAMESPACE_A ADDRESS_A NAMESPACE_B ADDRESS_B LATENCY_MS [MEGABITS_PER_SECOND]
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
MTU = 16000
libc = ctypes.CDLL(None, use_errno=True)


def enter(path):
    fd = os.open(path, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns {path}")
    os.close(fd)


def open_end(namespace, address):
    """A device "cable" in the namespace whose packets this process reads and writes."""
    enter(f"/run/netns/{namespace}")
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN | IFF_NO_PI))
    enter(f"/proc/{os.getppid()}/ns/net")
    for words in (f"addr add {address}/24 dev cable", f"link set cable mtu {MTU}", "link set cable up", "link set lo up"):
        subprocess.run(["ip", "-n", namespace, *words.split()], check=True)
    return end


def main():
    name_a, address_a, name_b, address_b, latency = sys.argv[1:6]
    latency = float(latency) / 1e3
    seconds_a_byte = 8e-6 / float(sys.argv[6]) if len(sys.argv) > 6 else 0.0
    ends = [open_end(name_a, address_a), open_end(name_b, address_b)]
    waiting = {end: collections.deque() for end in ends}  # by where they come out: (when, packet)
    sent = {end: 0.0 for end in ends}  # until when the direction to that end is taken
    os.nice(-10)  # a packet must not wait for a core that computes
    print("up", flush=True)
    while True:
        due = min((queue[0][0] for queue in waiting.values() if queue), default=None)
        pause = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select(ends, [], [], pause)
        for end in readable:
            other = ends[1 - ends.index(end)]
            packet = os.read(end, MTU + 100)
            sent[other] = max(sent[other], time.monotonic()) + seconds_a_byte * len(packet)
            waiting[other].append((sent[other] + latency, packet))
        now = time.monotonic()
        for end, queue in waiting.items():
            while queue and queue[0][0] <= now:
                os.write(end, queue.popleft()[1])


main()
