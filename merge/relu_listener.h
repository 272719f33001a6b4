// Seeing what every ReLU of a network puts out, without the network's help: LibTorch tells of each operator that runs.
#pragma once

#include <ATen/record_function.h>
#include <torch/types.h>

#include <functional>

namespace basin::merge {

/// While it lives, see(output) is called after each relu or relu_ that this thread computes. One at a time a thread.
class ReluListener {
 public:
  explicit ReluListener(std::function<void(const torch::Tensor&)> see);
  ~ReluListener();
  ReluListener(const ReluListener&) = delete;
  ReluListener& operator=(const ReluListener&) = delete;

 private:
  std::function<void(const torch::Tensor&)> see_;
  at::CallbackHandle handle_;
};

}  // namespace basin::merge
