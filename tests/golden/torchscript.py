"""Makes torchscript.pt and torchscript.json beside this file: a network as torch.jit.script writes it, its logits, and its batch-norm
statistics after a cumulative pass in plain PyTorch. PyTorch 2.11.0."""

import json
import pathlib

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, momentum=None), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(8, 4)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


def images(first, count):
    """What the test makes too."""
    return torch.sin(torch.arange(first, first + count * 2 * 8 * 8, dtype=torch.float64) * 0.37).float().view(count, 2, 8, 8)


torch.manual_seed(1)
here = pathlib.Path(__file__).parent
net = Net()
torch.jit.script(net).save(str(here / "torchscript.pt"))
net.eval()
golden = {"torch": torch.__version__, "names": list(net.state_dict()), "logits": net(images(0, 3)).double().flatten().tolist()}
net.train()
for layer in net.modules():
    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = None
        layer.reset_running_stats()
with torch.no_grad():
    for batch in (images(1000, 5), images(5000, 7)):
        net(batch)
golden["statistics"] = {name: value.double().tolist() for name, value in net.state_dict().items() if "running" in name}
(here / "torchscript.json").write_text(json.dumps(golden, indent=1) + "\n")
