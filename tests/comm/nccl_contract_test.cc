// The contract on NCCL: ranks are threads with a GPU each, the id travels through the in-process backend.
#include "comm/in_process.h"
#include "tests/comm/communicator_contract.h"
#if BASIN_WITH_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>

#include "comm/nccl.h"
#endif

namespace basin::comm {
namespace {

#if BASIN_WITH_CUDA

class NcclContract : public testing::TestWithParam<std::tuple<int, contract::Check>> {};

void WithGpus(int size, const std::function<void(Communicator&)>& body) {
  RunInProcess(size, [&](Communicator& bootstrap) {
    const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(bootstrap.rank()));
    const c10::cuda::CUDAGuard guard(device);
    const auto comm = MakeNccl(bootstrap, device, std::chrono::seconds(60));
    body(*comm);
  });
}

TEST_P(NcclContract, Holds) {
  const auto& [size, check] = GetParam();
  const int gpus = torch::cuda::device_count();
  if (gpus < size) GTEST_SKIP() << "needs " << size << " GPUs, one for each rank; this host has " << gpus;
  WithGpus(size, check.run);
}

INSTANTIATE_TEST_SUITE_P(Sizes, NcclContract,
                         testing::Combine(testing::Values(1, 2, 3, 5, 8), testing::ValuesIn(contract::kChecks)),
                         [](const auto& info) {
                           return Text(std::get<1>(info.param).name, "With", std::get<0>(info.param), "Ranks");
                         });

TEST(Nccl, SumTrafficIsThatOfARing) {
  const int size = static_cast<int>(torch::cuda::device_count());
  if (size == 0) GTEST_SKIP() << "needs a GPU; this host has none";
  WithGpus(size, [](Communicator& comm) {
    torch::Tensor x = torch::ones({840}, comm.device());  // divisible by every size up to 8
    comm.AllReduceSum(x);
    EXPECT_EQ(comm.traffic().bytes, 2 * (comm.size() - 1) * 840 * 4 / comm.size());
    EXPECT_EQ(comm.traffic().messages, 2 * (comm.size() - 1));
  });
}

TEST(Nccl, ResultsAreVisibleToTheNextKernelOfTheCurrentStream) {
  if (torch::cuda::device_count() == 0) GTEST_SKIP() << "needs a GPU; this host has none";
  WithGpus(1, [](Communicator& comm) {
    const c10::cuda::CUDAStreamGuard side(c10::cuda::getStreamFromPool(false, comm.device().index()));
    torch::Tensor x = torch::ones({1'000'000}, comm.device());
    comm.AllReduceSum(x);
    EXPECT_EQ(x.sum().item<float>(), 1e6F);
  });
}

TEST(Nccl, AMissingPeerEndsTheWaitAtTheDeadline) {
  if (torch::cuda::device_count() < 2) GTEST_SKIP() << "needs 2 GPUs";
  std::string message;
  RunInProcess(2, [&](Communicator& bootstrap) {
    const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(bootstrap.rank()));
    const auto comm = MakeNccl(bootstrap, device, std::chrono::seconds(60));
    comm->Barrier();
    if (bootstrap.rank() == 0) {
      comm->SetTimeout(std::chrono::milliseconds(500));
      try {
        comm->Barrier();
      } catch (const CommError& error) {
        message = error.what();
      }
    }
    bootstrap.Barrier();  // rank 1 must live until rank 0 has given up
  });
  EXPECT_NE(message.find("rank 0: Barrier: waited 0.5 s"), std::string::npos) << message;
}

#else

TEST(Nccl, NeedsABuildWithCuda) { GTEST_SKIP() << "this build has no NCCL; configure with the preset cuda"; }

#endif

}  // namespace
}  // namespace basin::comm
