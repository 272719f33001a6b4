#include "comm/sparse_parts.h"

#include <ATen/core/grad_mode.h>

#include <numeric>

#include "base/error.h"

namespace basin::comm {

void CheckFlat(const torch::Tensor& flat, const Communicator& comm) {
  BASIN_CHECK(flat.defined() && flat.scalar_type() == torch::kFloat32 && flat.dim() == 1 &&
                  flat.is_contiguous(),
              "an exchange needs contiguous float32 [P]; found ",
              flat.defined() ? Text(flat.scalar_type(), " ", flat.sizes()) : "an undefined tensor");
  BASIN_CHECK(flat.device().type() == comm.device().type(), "an exchange needs its values on ",
              comm.device(), "; found ", flat.device());
}

void CheckRange(std::span<const int64_t> index, const torch::Tensor& flat) {
  if (index.empty()) return;
  BASIN_CHECK(index.front() >= 0 && index.back() < flat.numel(), "coordinates ", index.front(),
              " to ", index.back(), " do not lie in a vector of ", flat.numel(), " values");
}

namespace {

void CheckGroups(std::span<const int64_t> index, std::span<const int64_t> counts,
                 const torch::Tensor& flat) {
  const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  BASIN_CHECK(sum == std::ssize(index), "counts add up to ", sum, " for ", index.size(),
              " coordinates");
  for (int64_t count : counts) {
    CheckRange(index.first(count), flat);
    index = index.subspan(count);
  }
}

}  // namespace

void CheckPlan(const ShufflePlan& plan, std::span<const torch::Tensor> flats, const Communicator& comm) {
  BASIN_CHECK(plan.members == comm.size(), "a plan for ", plan.members, " members in a group of ", comm.size());
  for (const torch::Tensor& flat : flats) {
    CheckFlat(flat, comm);
    CheckGroups(plan.send_index, plan.send_counts, flat);
    CheckGroups(plan.receive_index, plan.receive_counts, flat);
    CheckRange(plan.stay_index, flat);
  }
}

torch::Tensor IndexTensor(std::span<const int64_t> index, torch::Device device) {
  int64_t* data = const_cast<int64_t*>(index.data());  // from_blob knows no const; nobody writes
  return at::from_blob(data, {std::ssize(index)}, torch::TensorOptions(torch::kInt64)).to(device);
}

std::vector<int64_t> Times(std::span<const int64_t> counts, int64_t factor) {
  std::vector<int64_t> product(counts.begin(), counts.end());
  for (int64_t& count : product) count *= factor;
  return product;
}

void PackParts(std::span<const torch::Tensor> flats, const torch::Tensor& index, std::span<const int64_t> counts,
               const torch::Tensor& buffer) {
  ForEachPart(flats, index, counts, [&](const torch::Tensor& flat, const torch::Tensor& at, int64_t begin) {
    GatherAt(flat, at, buffer.narrow(0, begin, at.numel()));
  });
}

torch::Tensor MeanInRankOrder(const torch::Tensor& rows) {
  torch::Tensor mean = rows[0].clone();
  for (int64_t p = 1; p < rows.size(0); ++p) mean.add_(rows[p]);
  return mean.div_(rows.size(0));
}

}  // namespace basin::comm
