// The promise that a CPU and a GPU see the same pictures, to the bit.
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "data/augment.h"
#include "data/dataset.h"
#include "data/shapes.h"

namespace basin::data {
namespace {

class OnGpu : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  }
  bool channels_last() const { return GetParam(); }
  at::MemoryFormat format() const {
    return channels_last() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  }
  Batch Take(torch::Device device) const {
    const Split split = DrawShapes(1, 50);
    const torch::Tensor indices = torch::arange(1, 50, 2);
    return {.images = TakeImages(split, MeasureNormalisation(split), indices, device, channels_last()),
            .labels = split.labels.index_select(0, indices).to(device)};
  }
};

TEST_P(OnGpu, ImagesAreNormalisedToTheSameBits) {
  const torch::Tensor images = Take(torch::kCUDA).images;
  EXPECT_TRUE(images.is_cuda());
  EXPECT_TRUE(images.is_contiguous(format()));
  EXPECT_TRUE(torch::equal(images.cpu(), Take(torch::kCPU).images));
}

TEST_P(OnGpu, ImagesAreAugmentedToTheSameBits) {
  const Augmentations everything = {Flip{}, Crop{}, RandomErasing{.p = 0.5}, Mixup{}, CutMix{}};
  for (uint64_t step = 0; step < 10; ++step) {
    const base::StreamId id{.run_seed = 1, .purpose = base::Purpose::kAugment, .a = step};
    Batch on_gpu = Take(torch::kCUDA), on_cpu = Take(torch::kCPU);
    Augment(on_gpu, everything, id);
    Augment(on_cpu, everything, id);
    EXPECT_TRUE(on_gpu.images.is_contiguous(format()));
    EXPECT_TRUE(torch::equal(on_gpu.images.cpu(), on_cpu.images));
    EXPECT_TRUE(torch::equal(on_gpu.partner_labels.cpu(), on_cpu.partner_labels));
    EXPECT_EQ(on_gpu.lambda, on_cpu.lambda);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, OnGpu, testing::Bool());

}  // namespace
}  // namespace basin::data
