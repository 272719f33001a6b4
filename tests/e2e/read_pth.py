"""Loads a state dict as anybody would and prints what is in it as JSON: name -> dtype, shape, sha256 of the bytes.

read_pth.py FILE                  of the tensors
read_pth.py FILE --mlp 1200 16 10 also loads them into that network with strict=True
read_pth.py --write FILE          writes a state dict with shared, transposed and integer tensors, and prints the same of it
"""
import collections
import hashlib
import json
import sys

import torch


def describe(state):
    result = {}
    for name, tensor in state.items():
        raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
        result[name] = [str(tensor.dtype), list(tensor.shape), hashlib.sha256(bytes(raw.tolist())).hexdigest()]
    return result


def example():
    base = torch.arange(24, dtype=torch.float32)
    net = torch.nn.BatchNorm1d(3)
    state = collections.OrderedDict(transposed=base.view(4, 6).t(), part=base[5:9], shared=base, half=base.half(), brain=base.bfloat16(),
                                    count=torch.tensor(7), flags=torch.tensor([True, False]), parameter=torch.nn.Parameter(base[:2].clone()),
                                    small=base.to(torch.float8_e4m3fn), short=base.to(torch.uint16), empty=torch.empty(0, 3))
    state.update({"bn." + name: tensor for name, tensor in net.state_dict().items()})
    state._metadata = net.state_dict()._metadata
    return state


if sys.argv[1] == "--write":
    torch.save(example(), sys.argv[2])
    print(json.dumps(describe(example())))
    sys.exit()
state = torch.load(sys.argv[1], weights_only=True)
assert isinstance(state, collections.OrderedDict), type(state)
mapped = torch.load(sys.argv[1], weights_only=True, mmap=True)
assert describe(mapped) == describe(state)
if len(sys.argv) > 2:
    units = [int(n) for n in sys.argv[3:]]
    net = torch.nn.Module()
    net.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(units, units[1:]))
    net.load_state_dict(state, strict=True)
print(json.dumps(describe(state)))
