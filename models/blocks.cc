#include "models/blocks.h"

#include <cmath>

#include "base/error.h"

namespace basin::models {

int64_t ScaledUnits(const ModelOptions& options, int64_t units) {
  constexpr double kMostUnits = 1 << 20;
  const double exact = options.width * static_cast<double>(units);
  if (!(exact <= kMostUnits)) {
    throw ConfigError(Text("model.width is ", options.width, "; it gives a layer of ", options.name, " (", units,
                           " units at width 1) more than the ", static_cast<int64_t>(kMostUnits), " units that are allowed"));
  }
  const auto scaled = static_cast<int64_t>(std::llround(exact));
  if (scaled < 1) {
    throw ConfigError(Text("model.width is ", options.width, "; it leaves a layer of ", options.name, " (", units,
                           " units at width 1) without units. The smallest width for this layer is ",
                           0.5 / static_cast<double>(units)));
  }
  return scaled;
}

Conv2d MakeConv(const ConvShape& shape, bool bias) {
  return Conv2d(
      torch::nn::Conv2dOptions(shape.in, shape.out, shape.kernel).stride(shape.stride).padding(shape.kernel / 2).bias(bias));
}

NormLayer::NormLayer(Norm norm, int64_t channels, int dims) {
  BASIN_CHECK(dims == 1 || dims == 2, "dims is ", dims);
  if (norm == Norm::kLayer) {
    layer_ = ChannelLayerNorm(channels);
  } else if (norm == Norm::kBatch) {
    if (dims == 1) {
      batch1d_ = torch::nn::BatchNorm1d(channels);
    } else {
      batch2d_ = torch::nn::BatchNorm2d(channels);
    }
  }
}

void NormLayer::RegisterIn(torch::nn::Module& parent, const std::string& name) {
  if (!layer_.is_empty()) parent.register_module(name, layer_);
  if (!batch1d_.is_empty()) parent.register_module(name, batch1d_);
  if (!batch2d_.is_empty()) parent.register_module(name, batch2d_);
}

torch::Tensor NormLayer::operator()(const torch::Tensor& x) {
  const bool trains = (!batch2d_.is_empty() && batch2d_->is_training()) || (!batch1d_.is_empty() && batch1d_->is_training());
  if (trains && x.numel() == x.size(1)) {
    throw ConfigError(Text("batch norm cannot train on a batch of 1 image, which gives each of its ", x.size(1),
                           " units one value; use batches of at least 2 images, or model.norm layer or none"));
  }
  if (!batch2d_.is_empty()) return batch2d_->forward(x);
  if (!layer_.is_empty()) return layer_->forward(x);
  if (!batch1d_.is_empty()) return batch1d_->forward(x);
  return x;
}

void AddConv(PermutationSpec& spec, const std::string& name, const LayerIds& ids, bool bias) {
  spec.Add(name + ".weight", {ids.out, ids.in, "", ""});
  if (bias) spec.Add(name + ".bias", {ids.out});
}

void AddLinear(PermutationSpec& spec, const std::string& name, const LayerIds& ids) {
  spec.Add(name + ".weight", {ids.out, ids.in});
  if (!ids.out.empty()) spec.Add(name + ".bias", {ids.out});
}

void AddNorm(PermutationSpec& spec, const std::string& name, Norm norm, const std::string& id) {
  if (norm == Norm::kNone) return;
  spec.Add(name + ".weight", {id});
  spec.Add(name + ".bias", {id});
  if (norm != Norm::kBatch) return;
  spec.Add(name + ".running_mean", {id});
  spec.Add(name + ".running_var", {id});
}

torch::Tensor ChannelsLast(const torch::Tensor& images) {
  torch::Tensor x = images.contiguous(torch::MemoryFormat::ChannelsLast);
  if (x.size(1) > 1) return x;
  // With one channel the formats differ in nothing but the strides of length-1 axes, and LibTorch then guesses
  // "contiguous", for the whole network. These strides say channels_last.
  const int64_t height = x.size(2), width = x.size(3);
  return x.as_strided(x.sizes(), {height * width, 1, width, 1});
}

torch::Tensor GlobalMean(const torch::Tensor& x) {
  if (x.size(2) == 1 && x.size(3) == 1) return x.flatten(1);
  return x.mean({2, 3});
}

}  // namespace basin::models
