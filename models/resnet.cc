#include "models/resnet.h"

#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "models/blocks.h"

namespace basin::models {
namespace {

constexpr int64_t kSmallStemBelow = 64;  // pixels of height

struct Layout {
  std::vector<int64_t> blocks;    // of each stage
  std::vector<int64_t> channels;  // inside the blocks of each stage
  bool bottleneck = false;        // three convolutions a block, and four times the channels outside
  bool cifar = false;             // the stem is 3x3 for every input size
};

const Layout& LayoutOf(const std::string& name) {
  static const std::map<std::string, Layout> layouts = {
      {"resnet20", {{3, 3, 3}, {16, 32, 64}, false, true}},
      {"resnet32", {{5, 5, 5}, {16, 32, 64}, false, true}},
      {"resnet44", {{7, 7, 7}, {16, 32, 64}, false, true}},
      {"resnet56", {{9, 9, 9}, {16, 32, 64}, false, true}},
      {"resnet18", {{2, 2, 2, 2}, {64, 128, 256, 512}, false, false}},
      {"resnet34", {{3, 4, 6, 3}, {64, 128, 256, 512}, false, false}},
      {"resnet50", {{3, 4, 6, 3}, {64, 128, 256, 512}, true, false}},
  };
  return layouts.at(name);
}

struct BlockShape {
  int64_t in, inner, out, stride;
  bool bottleneck;
};

/// ReLU(body(x) + shortcut(x)). The body is two 3x3 convolutions, or 1x1, 3x3, 1x1; the shortcut is x, or a 1x1 convolution
/// with a norm where the shape changes.
class ResidualBlock final : public torch::nn::Module {
 public:
  ResidualBlock(const std::string& name, const BlockShape& shape, Norm norm) : norm_kind_(norm) {
    const auto [in, inner, out, stride, bottleneck] = shape;
    if (bottleneck) {
      AddStep({in, inner, 1, 1});
      AddStep({inner, inner, 3, stride});
      AddStep({inner, out, 1, 1});
    } else {
      AddStep({in, inner, 3, stride});
      AddStep({inner, out, 3, 1});
    }
    for (size_t i = 1; i < steps_.size(); ++i) inner_ids_.push_back(Text("P_", name, "_inner", i));
    if (in == out && stride == 1) return;
    torch::nn::Module& parent = *register_module("downsample", torch::nn::ModuleList());
    // oneDNN 3's AVX2 kernel for the weight gradient of a strided 1x1 convolution writes past its buffer when the input channels are no
    // multiple of its block of 8 (valgrind, LibTorch 2.11), so there the stride is taken before the convolution.
    constexpr int64_t kBlock = 8;
    if (stride > 1 && in % kBlock != 0) stride_before_ = stride;
    projection_ = MakeConv({in, out, 1, stride_before_ > 1 ? 1 : stride}, has_bias());
    projection_norm_ = NormLayer(norm_kind_, out, /*dims=*/2);
    parent.register_module("0", projection_);
    projection_norm_.RegisterIn(parent, "1");
  }

  /// `stream`: the id to tell the listener of the block's output; "" when another block follows on the same stream.
  torch::Tensor forward(const torch::Tensor& x, const UnitListener& listener, const std::string& stream) {
    torch::Tensor y = x;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (i > 0) Heard(listener, inner_ids_[i - 1], y).relu_();
      y = steps_[i].norm(steps_[i].conv->forward(y));
    }
    y.add_(projects() ? projection_norm_(projection_->forward(Strided(x))) : x);
    if (!stream.empty()) Heard(listener, stream, y);
    return y.relu_();
  }

  torch::Tensor Strided(const torch::Tensor& x) const {
    if (stride_before_ == 1) return x;
    using torch::indexing::Slice;
    const Slice every(torch::indexing::None, torch::indexing::None, stride_before_);
    return x.index({Slice(), Slice(), every, every}).contiguous(torch::MemoryFormat::ChannelsLast);
  }

  bool projects() const { return !projection_.is_empty(); }

  /// Rows of the block `name` from stream id `in` to stream id `out`.
  void AddTo(PermutationSpec& spec, const std::string& name, const std::string& in, const std::string& out) const {
    std::string before = in;
    for (size_t i = 1; i <= steps_.size(); ++i) {
      const std::string after = i == steps_.size() ? out : inner_ids_[i - 1];
      AddConv(spec, Text(name, ".conv", i), {after, before}, has_bias());
      AddNorm(spec, Text(name, ".bn", i), norm_kind_, after);
      before = after;
    }
    if (!projects()) return;
    AddConv(spec, name + ".downsample.0", {out, in}, has_bias());
    AddNorm(spec, name + ".downsample.1", norm_kind_, out);
  }

 private:
  struct Step {
    Conv2d conv{nullptr};
    NormLayer norm;
  };

  bool has_bias() const { return norm_kind_ == Norm::kNone; }

  void AddStep(const ConvShape& shape) {
    Step step{MakeConv(shape, has_bias()), NormLayer(norm_kind_, shape.out, /*dims=*/2)};
    register_module(Text("conv", steps_.size() + 1), step.conv);
    step.norm.RegisterIn(*this, Text("bn", steps_.size() + 1));
    steps_.push_back(std::move(step));
  }

  Norm norm_kind_;
  std::vector<Step> steps_;
  std::vector<std::string> inner_ids_;  // after each step but the last
  Conv2d projection_{nullptr};
  int64_t stride_before_ = 1;  // of the input of the projection
  NormLayer projection_norm_;
};

class ResNet final : public Classifier {
 public:
  ResNet(const ModelOptions& options, const InputShape& input, int64_t classes)
      : norm_kind_(options.norm), layout_(LayoutOf(options.name)),
        small_stem_(layout_.cifar || input.height < kSmallStemBelow) {
    int64_t channels = ScaledUnits(options, layout_.channels.front());
    const ConvShape stem = small_stem_ ? ConvShape{input.channels, channels, 3, 1} : ConvShape{input.channels, channels, 7, 2};
    conv1_ = register_module("conv1", MakeConv(stem, has_bias()));
    bn1_ = NormLayer(norm_kind_, channels, /*dims=*/2);
    bn1_.RegisterIn(*this, "bn1");
    for (size_t stage = 0; stage < layout_.blocks.size(); ++stage) {
      torch::nn::ModuleList layer;
      const int64_t inner = ScaledUnits(options, layout_.channels[stage]);
      const int64_t out = layout_.bottleneck ? 4 * inner : inner;
      for (int64_t index = 0; index < layout_.blocks[stage]; ++index) {
        const int64_t stride = index == 0 && stage > 0 ? 2 : 1;
        const std::string name = Text("layer", stage + 1, ".", index);
        auto block =
            std::make_shared<ResidualBlock>(name, BlockShape{channels, inner, out, stride, layout_.bottleneck}, norm_kind_);
        layer->push_back(block);
        if (block->projects()) EndStream();
        blocks_.push_back({name, block, ""});
        channels = out;
      }
      register_module(Text("layer", stage + 1), layer);
    }
    EndStream();
    fc_ = register_module("fc", Linear(channels, classes));
  }

  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = bn1_(conv1_->forward(ChannelsLast(images)));
    if (!stem_ends_.empty()) Heard(listener, stem_ends_, x);
    // ReLU and maximum commute, values and gradients alike; after the pool there is a quarter to do.
    if (!small_stem_) x = torch::max_pool2d(x, /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);
    x.relu_();
    for (const auto& [name, block, ends] : blocks_) x = block->forward(x, listener, ends);
    return fc_->forward(GlobalMean(x));
  }

  PermutationSpec symmetry() const override {
    PermutationSpec spec;
    size_t stream = 0;  // a projection starts a new one
    std::string id = StreamId(stream);
    AddConv(spec, "conv1", {id, ""}, has_bias());
    AddNorm(spec, "bn1", norm_kind_, id);
    for (const auto& [name, block, ends] : blocks_) {
      const std::string before = id;
      if (block->projects()) id = StreamId(++stream);
      block->AddTo(spec, name, before, id);
    }
    AddLinear(spec, "fc", {"", id});
    return spec;
  }

  InitialLaw initial_law() const override { return InitialLaw::kTorchvisionResNet; }

 private:
  struct NamedBlock {
    std::string name;
    std::shared_ptr<ResidualBlock> block;
    std::string ends;  // the stream whose last block this is, or ""
  };

  static std::string StreamId(size_t stream) { return Text("P_stream", stream); }

  /// The stream that has come so far ends with what was built last.
  void EndStream() { (blocks_.empty() ? stem_ends_ : blocks_.back().ends) = StreamId(streams_++); }

  bool has_bias() const { return norm_kind_ == Norm::kNone; }

  Norm norm_kind_;
  Layout layout_;
  bool small_stem_;
  Conv2d conv1_{nullptr};
  NormLayer bn1_;
  std::string stem_ends_;  // the stream that has no block, or ""
  size_t streams_ = 0;
  std::vector<NamedBlock> blocks_;
  Linear fc_{nullptr};
};

}  // namespace

std::shared_ptr<Classifier> MakeResNet(const ModelOptions& options, const InputShape& input, int64_t classes) {
  return std::make_shared<ResNet>(options, input, classes);
}

}  // namespace basin::models
