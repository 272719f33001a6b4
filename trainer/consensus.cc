#include "trainer/consensus.h"

#include <algorithm>

#include "base/seed.h"

namespace basin::trainer {

std::vector<double> Sketch(const torch::Tensor& weights, uint64_t seed, int64_t step) {
  const torch::Tensor here = weights.to(torch::kCPU, torch::kFloat32).contiguous();
  const float* values = here.const_data_ptr<float>();
  base::Stream signs({.run_seed = seed, .purpose = base::Purpose::kSketch, .a = static_cast<uint64_t>(step)});
  std::vector<double> sums(kSketchSums);
  constexpr int64_t kBits = 32;
  for (int64_t begin = 0; begin < here.numel(); begin += kBits) {
    const uint32_t drawn = signs.NextU32();
    const int64_t count = std::min(kBits, here.numel() - begin);
    double* into = sums.data() + begin % kSketchSums;
    for (int64_t k = 0; k < count; ++k) into[k] += (drawn >> k & 1U) != 0 ? values[begin + k] : -values[begin + k];
  }
  return sums;
}

double ConsensusSquared(const torch::Tensor& rows) { return (rows - rows.mean(0)).square().sum(1).mean().item<double>(); }

}  // namespace basin::trainer
