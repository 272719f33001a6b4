// A network whose hidden units are the images themselves, so that a test can say what they do.
#pragma once

#include "models/blocks.h"
#include "models/classifier.h"

namespace basin::tests {

class GivenUnits final : public models::Classifier {
 public:
  explicit GivenUnits(int64_t units)
      : first_(register_module("first", models::Linear(1, units))), last_(register_module("last", models::Linear(units, 2))) {}
  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = images.flatten(1).narrow(1, first_column, last_->weight.size(1)).clone();
    return last_->forward(models::Heard(listener, "P", x).relu_());
  }
  models::PermutationSpec symmetry() const override {
    models::PermutationSpec spec;
    models::AddLinear(spec, "first", {"P", ""});
    models::AddLinear(spec, "last", {"", "P"});
    return spec;
  }
  int64_t first_column = 0;  ///< of the flattened image, where this network's units lie

 private:
  models::Linear first_, last_;
};

}  // namespace basin::tests
