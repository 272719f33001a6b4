"""Loads a network that Basin wrote into plain torch.nn modules, strict=True, and prints its logits and loss on a data file as JSON.

Usage: logits_of.py NETWORK MODEL.safetensors DATA.safetensors. NETWORK: name, norm, width, classes (as JSON) and for mlp `hidden`.
The modules are those of tests/golden/make_models.py. Nothing of Basin takes part, and no safetensors package is needed.
"""
import json
import pathlib
import struct
import sys

import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import make_models

DTYPES = {"F32": torch.float32, "I64": torch.int64}


def read(path):
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(bytearray(data[8 + length + begin:8 + length + end]), dtype=DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def make(network, channels, side):
    name, norm, width, classes = (network[key] for key in ("name", "norm", "width", "classes"))
    if name == "mlp":
        return make_models.Mlp(channels * side * side, network["hidden"], classes, norm)
    if name == "convnet":
        return make_models.ConvNet(channels, width, classes, norm)
    if name.startswith("vgg"):
        return make_models.Vgg(name, channels, width, classes, norm)
    return make_models.ResNet(name, channels, side, width, classes, norm)


def main():
    torch.set_num_threads(1)
    network, data = json.loads(sys.argv[1]), read(sys.argv[3])
    images, labels = data["images"], data["labels"]
    model = make(network, images.shape[1], images.shape[2])
    model.load_state_dict(read(sys.argv[2]), strict=True)
    with torch.no_grad():
        logits = model.eval()(images)
    print(json.dumps({"logits": logits.flatten().tolist(), "loss": F.cross_entropy(logits, labels).item()}))


if __name__ == "__main__":
    main()
