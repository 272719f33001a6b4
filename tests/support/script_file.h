// TorchScript files as torch.jit.script and torch.jit.save would write them.
#pragma once

#include <torch/script.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "tests/support/tensors.h"

namespace basin::tests {

inline torch::jit::Module LinearScript(const std::string& name, int64_t in, int64_t out) {
  torch::jit::Module layer(name);
  layer.register_parameter("weight", (RandomTensor({out, in}, 1) / std::sqrt(static_cast<double>(in))).requires_grad_(), false);
  layer.register_parameter("bias", RandomTensor({out}, 2).requires_grad_(), false);
  layer.define("def forward(self, x):\n  return torch.linear(x, self.weight, self.bias)\n");
  return layer;
}

inline torch::jit::Module NormScript(int64_t units, double momentum) {
  torch::jit::Module norm("Norm");
  norm.register_parameter("weight", (RandomTensor({units}, 3).abs() + 0.5).requires_grad_(), false);
  norm.register_parameter("bias", RandomTensor({units}, 4).requires_grad_(), false);
  norm.register_buffer("running_mean", torch::zeros({units}));
  norm.register_buffer("running_var", torch::ones({units}));
  norm.register_buffer("num_batches_tracked", torch::zeros({}, torch::kInt64));
  norm.register_attribute("training", c10::BoolType::get(), true);
  norm.define(Text("def forward(self, x):\n"
                   "  if self.training:\n"
                   "    self.num_batches_tracked.add_(1)\n"
                   "  return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training, ",
                   momentum, ", 1e-5, False)\n"));
  return norm;
}

struct ScriptShape {
  int64_t inputs, hidden, classes;
  double momentum = 0;     ///< of a batch norm behind the first layer; 0: there is none
  std::string then{};      ///< lines after that, indented by two
};

/// Linear, batch norm or none, ReLU, Linear: parameters first.*, norm.*, last.*.
inline void WriteScript(const std::filesystem::path& path, const ScriptShape& shape) {
  torch::jit::Module net("Net");
  net.register_module("first", LinearScript("First", shape.inputs, shape.hidden));
  if (shape.momentum > 0) net.register_module("norm", NormScript(shape.hidden, shape.momentum));
  net.register_module("last", LinearScript("Last", shape.hidden, shape.classes));
  net.register_attribute("training", c10::BoolType::get(), true);
  net.define("def forward(self, x):\n  x = self.first.forward(x.flatten(1))\n" + std::string(shape.momentum > 0 ? "  x = self.norm.forward(x)\n" : "") +
             shape.then + "  return self.last.forward(torch.relu(x))\n");
  net.save(path.string());
}

}  // namespace basin::tests
