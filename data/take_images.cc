// From stored pixels to what a network sees. The arithmetic is the same everywhere: (x / 255 - mean) / std in double,
// rounded once to float, so a CPU and a GPU give the same bits.
#include <span>
#include <vector>

#include "base/error.h"
#include "data/dataset.h"

namespace basin::data {
namespace {

/// A byte has 256 values: the arithmetic is done once for each.
class ByteTable {
 public:
  explicit ByteTable(const Normalisation& normalisation) {
    for (size_t c = 0; c < normalisation.mean.size(); ++c) {
      for (int x = 0; x < 256; ++x) {
        table_.push_back(static_cast<float>((x / 255.0 - normalisation.mean[c]) / normalisation.std[c]));
      }
    }
  }
  auto Channel(int64_t c) const {
    return [table = table_.data() + 256 * c](uint8_t x) { return table[x]; };
  }

 private:
  std::vector<float> table_;
};

class FloatRule {
 public:
  explicit FloatRule(const Normalisation& normalisation) : normalisation_(normalisation) {}
  auto Channel(int64_t c) const {
    return [mean = normalisation_.mean[c], std = normalisation_.std[c]](float x) {
      return static_cast<float>((static_cast<double>(x) - mean) / std);
    };
  }

 private:
  const Normalisation& normalisation_;
};

/// Converts one image while it is copied, so that memory is read once and written once.
template <typename Pixel, typename Rule>
void ConvertImage(const Pixel* in, int64_t channels, int64_t area, bool channels_last, const Rule& rule, float* out) {
  if (channels_last && channels == 3) {  // written in order: whole cache lines
    const auto red = rule.Channel(0), green = rule.Channel(1), blue = rule.Channel(2);
    for (int64_t p = 0; p < area; ++p) {
      out[3 * p] = red(in[p]);
      out[3 * p + 1] = green(in[area + p]);
      out[3 * p + 2] = blue(in[2 * area + p]);
    }
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    const auto convert = rule.Channel(c);
    const Pixel* plane = in + c * area;
    if (channels_last) {
      for (int64_t p = 0; p < area; ++p) out[p * channels + c] = convert(plane[p]);
    } else {
      for (int64_t p = 0; p < area; ++p) out[c * area + p] = convert(plane[p]);
    }
  }
}

at::MemoryFormat Format(bool channels_last) {
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

template <typename Pixel, typename Rule>
torch::Tensor ConvertOnCpu(const torch::Tensor& images, std::span<const int64_t> indices, bool channels_last,
                           const Rule& rule) {
  const int64_t channels = images.size(1), area = images.size(2) * images.size(3);
  torch::Tensor result = torch::empty({static_cast<int64_t>(indices.size()), channels, images.size(2), images.size(3)},
                                      torch::TensorOptions().memory_format(Format(channels_last)));
  const Pixel* in = images.const_data_ptr<Pixel>();
  float* out = result.mutable_data_ptr<float>();
  for (int64_t index : indices) {
    ConvertImage(in + index * channels * area, channels, area, channels_last, rule, out);
    out += channels * area;
  }
  return result;
}

torch::Tensor ChannelConstants(const std::vector<double>& values, torch::Device device) {
  return torch::tensor(values, torch::kFloat64).view({-1, 1, 1}).to(device);
}

}  // namespace

torch::Tensor Normalise(const torch::Tensor& images, const Normalisation& normalisation) {
  torch::Tensor x = images.to(torch::kFloat64);
  // Divisors are tensors on the device: for a host scalar ATen's GPU kernel multiplies by the reciprocal instead.
  if (images.scalar_type() == torch::kUInt8) x.div_(torch::full({1}, 255.0, x.options()));
  x.sub_(ChannelConstants(normalisation.mean, x.device())).div_(ChannelConstants(normalisation.std, x.device()));
  return x.to(torch::kFloat32);
}

torch::Tensor TakeImages(const Split& split, const Normalisation& normalisation, const torch::Tensor& indices,
                         torch::Device device, bool channels_last) {
  const torch::Tensor& images = split.images;
  BASIN_CHECK(indices.dim() == 1 && indices.scalar_type() == torch::kInt64 && indices.is_cpu(), indices.toString());
  BASIN_CHECK(images.dim() == 4 && images.is_contiguous() && images.is_cpu(), images.toString());
  const auto channels = static_cast<size_t>(images.size(1));
  BASIN_CHECK(normalisation.mean.size() == channels && normalisation.std.size() == channels, channels, " channels, ",
              normalisation.mean.size(), " means, ", normalisation.std.size(), " deviations");
  const torch::Tensor packed = indices.contiguous();
  const std::span<const int64_t> wanted(packed.const_data_ptr<int64_t>(), static_cast<size_t>(packed.numel()));
  for (int64_t index : wanted) {
    BASIN_CHECK(index >= 0 && index < split.size(), "index ", index, " of ", split.size(), " images");
  }
  if (!device.is_cpu()) {  // bytes are a quarter of the floats to move
    return Normalise(images.index_select(0, packed).to(device), normalisation)
        .contiguous(Format(channels_last));
  }
  if (images.scalar_type() == torch::kUInt8) {
    return ConvertOnCpu<uint8_t>(images, wanted, channels_last, ByteTable(normalisation));
  }
  return ConvertOnCpu<float>(images, wanted, channels_last, FloatRule(normalisation));
}

}  // namespace basin::data
