#include "models/vgg.h"

#include <map>
#include <vector>

#include "base/error.h"
#include "models/blocks.h"

namespace basin::models {
namespace {

constexpr int64_t kPool = 0;  // in the tables below: a 2x2 max-pool; other numbers are channels

const std::map<std::string, std::vector<int64_t>>& Layouts() {
  constexpr int64_t M = kPool;
  static const std::map<std::string, std::vector<int64_t>> layouts = {
      {"vgg11", {64, M, 128, M, 256, 256, M, 512, 512, M, 512, 512, M}},
      {"vgg13", {64, 64, M, 128, 128, M, 256, 256, M, 512, 512, M, 512, 512, M}},
      {"vgg16", {64, 64, M, 128, 128, M, 256, 256, 256, M, 512, 512, 512, M, 512, 512, 512, M}},
      {"vgg19", {64, 64, M, 128, 128, M, 256, 256, 256, 256, M, 512, 512, 512, 512, M, 512, 512, 512, 512, M}},
  };
  return layouts;
}

std::string ChannelsId(size_t conv) { return Text("P_conv", conv); }

class Vgg final : public Classifier {
 public:
  Vgg(const ModelOptions& options, int64_t in_channels, int64_t classes) : norm_kind_(options.norm) {
    torch::nn::Module& features = *register_module("features", torch::nn::ModuleList());
    int64_t in = in_channels;
    size_t index = 0;  // torchvision's
    for (const int64_t channels : Layouts().at(options.name)) {
      if (channels == kPool) {
        stages_.back().pooled = true;
        ++index;
        continue;
      }
      const int64_t out = ScaledUnits(options, channels);
      Stage stage{ChannelsId(stages_.size()), Text(index), Text(index + 1), MakeConv({in, out}, /*bias=*/true), NormLayer(norm_kind_, out, /*dims=*/2)};
      features.register_module(stage.conv_name, stage.conv);
      stage.norm.RegisterIn(features, stage.norm_name);
      stages_.push_back(stage);
      index += norm_kind_ == Norm::kNone ? 2 : 3;  // convolution, norm, ReLU
      in = out;
    }
    classifier_ = register_module("classifier", Linear(in, classes));
  }

  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = ChannelsLast(images);
    for (Stage& stage : stages_) {
      x = stage.norm(stage.conv->forward(x));
      Heard(listener, stage.id, x);
      // ReLU and maximum commute, values and gradients alike; after the pool there is a quarter to do.
      if (stage.pooled) x = torch::max_pool2d(x, 2);
      x.relu_();
    }
    return classifier_->forward(GlobalMean(x));
  }

  PermutationSpec symmetry() const override {
    PermutationSpec spec;
    for (size_t i = 0; i < stages_.size(); ++i) {
      AddConv(spec, "features." + stages_[i].conv_name, {ChannelsId(i), i == 0 ? "" : ChannelsId(i - 1)}, /*bias=*/true);
      AddNorm(spec, "features." + stages_[i].norm_name, norm_kind_, ChannelsId(i));
    }
    AddLinear(spec, "classifier", {"", ChannelsId(stages_.size() - 1)});
    return spec;
  }

  InitialLaw initial_law() const override { return InitialLaw::kTorchvisionVgg; }

 private:
  struct Stage {
    std::string id, conv_name, norm_name;
    Conv2d conv{nullptr};
    NormLayer norm;
    bool pooled = false;
  };

  Norm norm_kind_;
  std::vector<Stage> stages_;
  Linear classifier_{nullptr};
};

}  // namespace

std::shared_ptr<Classifier> MakeVgg(const ModelOptions& options, const InputShape& input, int64_t classes) {
  return std::make_shared<Vgg>(options, input.channels, classes);
}

}  // namespace basin::models
