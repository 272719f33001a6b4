#include "trainer/population.h"

#include "base/error.h"

namespace basin::trainer {
namespace {

/// The tensors of `state` with this dtype, one after another: [n].
torch::Tensor Concatenate(const models::StateDict& state, torch::Dtype dtype) {
  std::vector<torch::Tensor> parts;
  for (const auto& [name, tensor] : state) {
    if (tensor.scalar_type() == dtype) parts.push_back(tensor.reshape({-1}));
  }
  return parts.empty() ? torch::empty({0}, dtype) : torch::cat(parts);
}

void Scatter(const torch::Tensor& flat, models::StateDict& state) {
  int64_t at = 0;
  for (auto& [name, tensor] : state) {
    if (tensor.scalar_type() != flat.scalar_type()) continue;
    tensor = flat.slice(0, at, at + tensor.numel()).view(tensor.sizes()).clone();
    at += tensor.numel();
  }
}

torch::Tensor Gather(const torch::Tensor& x, comm::Communicator& comm) {
  return comm.AllGather(x.to(comm.device())).to(torch::kCPU);
}

}  // namespace

std::vector<models::StateDict> GatherPopulation(Member& member, comm::Communicator& comm) {
  const models::StateDict own = models::CloneState(models::StateOf(member.model()));
  for (const auto& [name, tensor] : own) {
    BASIN_CHECK(tensor.scalar_type() == torch::kFloat32 || tensor.scalar_type() == torch::kInt64, name, " is ",
                tensor.dtype());
  }
  const torch::Tensor floats = Gather(Concatenate(own, torch::kFloat32), comm);
  const torch::Tensor integers = Gather(Concatenate(own, torch::kInt64), comm);
  std::vector<models::StateDict> members(comm.size(), own);
  for (int m = 0; m < comm.size(); ++m) {
    Scatter(floats[m], members[m]);
    Scatter(integers[m], members[m]);
  }
  return members;
}

std::vector<int64_t> GatherIds(const Member& member, comm::Communicator& comm) {
  const torch::Tensor ids = Gather(torch::tensor({member.id()}), comm).view({-1});
  return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel()};
}

torch::Tensor GatherDoubles(const std::vector<double>& values, comm::Communicator& comm) {
  return Gather(torch::tensor(at::ArrayRef<double>(values), torch::kFloat64), comm);
}

torch::Tensor SumOverRanks(const torch::Tensor& x, comm::Communicator& comm) {
  torch::Tensor flat = x.to(comm.device()).reshape({-1}).clone();
  comm.AllReduceSum(flat);
  return flat.to(torch::kCPU).view(x.sizes());
}

}  // namespace basin::trainer
