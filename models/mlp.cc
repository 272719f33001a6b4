#include "models/mlp.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "models/blocks.h"

namespace basin::models {
namespace {

std::string UnitsId(size_t layer) { return Text("P_", layer); }

class Mlp final : public Classifier {
 public:
  Mlp(std::vector<int64_t> units, Norm norm) : norm_kind_(norm) {
    torch::nn::ModuleList layers, norms;
    for (size_t i = 0; i + 1 < units.size(); ++i) {
      layers_.push_back(Linear(units[i], units[i + 1]));
      layers->push_back(layers_.back());
    }
    register_module("layers", layers);
    torch::nn::Module& parent = *register_module("norms", norms);
    for (size_t i = 1; i + 1 < units.size(); ++i) {
      norms_.emplace_back(norm, units[i], /*dims=*/1);
      norms_.back().RegisterIn(parent, std::to_string(i - 1));
      ids_.push_back(UnitsId(i - 1));
    }
  }

  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = images.flatten(1);
    for (size_t i = 0; i < norms_.size(); ++i) {
      x = norms_[i](layers_[i]->forward(x));
      Heard(listener, ids_[i], x).relu_();
    }
    return layers_.back()->forward(x);
  }

  PermutationSpec symmetry() const override {
    PermutationSpec spec;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const bool is_last = i + 1 == layers_.size();
      if (layers_.size() == 1) break;  // no hidden units
      AddLinear(spec, Text("layers.", i), {is_last ? "" : UnitsId(i), i == 0 ? "" : UnitsId(i - 1)});
      if (!is_last) AddNorm(spec, Text("norms.", i), norm_kind_, UnitsId(i));
    }
    return spec;
  }

  bool prefers_channels_last() const override { return false; }

 private:
  Norm norm_kind_;
  std::vector<Linear> layers_;    // the last is the classifier
  std::vector<NormLayer> norms_;  // one a hidden layer
  std::vector<std::string> ids_;  // of their units
};

}  // namespace

std::shared_ptr<Classifier> MakeMlp(const ModelOptions& options, const InputShape& input, int64_t classes) {
  const std::vector<int64_t> hidden = options.hidden.empty() ? std::vector<int64_t>{512, 512, 512} : options.hidden;
  std::vector<int64_t> units = {input.channels * input.height * input.width};
  for (int64_t size : hidden) units.push_back(ScaledUnits(options, size));
  units.push_back(classes);
  return std::make_shared<Mlp>(std::move(units), options.norm);
}

}  // namespace basin::models
