#include "models/convnet.h"

#include <array>

#include "base/error.h"
#include "models/blocks.h"

namespace basin::models {
namespace {

constexpr std::array<int64_t, 4> kChannels = {16, 32, 64, 64};
constexpr size_t kNumPooled = 2;  // the first two convolutions are followed by a max-pool

std::string ChannelsId(size_t layer) { return Text("P_conv", layer + 1); }

class ConvNet final : public Classifier {
 public:
  ConvNet(const ModelOptions& options, int64_t in_channels, int64_t classes) : norm_kind_(options.norm) {
    int64_t in = in_channels;
    for (size_t i = 0; i < kChannels.size(); ++i) {
      const int64_t out = ScaledUnits(options, kChannels[i]);
      convs_[i] = register_module(Text("conv", i + 1), MakeConv({in, out}, has_bias()));
      norms_[i] = NormLayer(norm_kind_, out, /*dims=*/2);
      norms_[i].RegisterIn(*this, Text("bn", i + 1));
      ids_[i] = ChannelsId(i);
      in = out;
    }
    fc_ = register_module("fc", Linear(in, classes));
  }

  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = ChannelsLast(images);
    for (size_t i = 0; i < kChannels.size(); ++i) {
      x = norms_[i](convs_[i]->forward(x));
      Heard(listener, ids_[i], x);
      // ReLU and maximum commute, values and gradients alike; after the pool there is a quarter to do.
      if (i < kNumPooled) x = torch::max_pool2d(x, 2);
      x.relu_();
    }
    return fc_->forward(GlobalMean(x));
  }

  PermutationSpec symmetry() const override {
    PermutationSpec spec;
    for (size_t i = 0; i < kChannels.size(); ++i) {
      AddConv(spec, Text("conv", i + 1), {ChannelsId(i), i == 0 ? "" : ChannelsId(i - 1)}, has_bias());
      AddNorm(spec, Text("bn", i + 1), norm_kind_, ChannelsId(i));
    }
    AddLinear(spec, "fc", {"", ChannelsId(kChannels.size() - 1)});
    return spec;
  }

 private:
  bool has_bias() const { return norm_kind_ == Norm::kNone; }  // a norm brings its own

  Norm norm_kind_;
  std::array<Conv2d, kChannels.size()> convs_{nullptr, nullptr, nullptr, nullptr};
  std::array<NormLayer, kChannels.size()> norms_;
  std::array<std::string, kChannels.size()> ids_;
  Linear fc_{nullptr};
};

}  // namespace

std::shared_ptr<Classifier> MakeConvNet(const ModelOptions& options, const InputShape& input, int64_t classes) {
  return std::make_shared<ConvNet>(options, input.channels, classes);
}

}  // namespace basin::models
