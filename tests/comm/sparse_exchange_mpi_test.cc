// Processes under mpirun and threads of one process must compute the same bits.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "comm/in_process.h"
#include "comm/mpi.h"
#include "comm/sparse_exchange.h"
#include "tests/support/random_bits.h"

namespace basin::comm {
namespace {

constexpr int64_t kNumValues = 50000;
const std::vector<SelectedTensor> kTensors = {
    {0, 100, 1}, {100, 40000, 0.02}, {40100, 1, 1}, {40101, 5000, 0.4}};

/// Three exchanges, weights with a moment, then a sparse average: everything a run does to one
/// member.
std::vector<torch::Tensor> RunExchanges(Communicator& comm) {
  const auto rank = static_cast<uint64_t>(comm.rank());
  std::vector<torch::Tensor> flats = {test::RandomNormal(kNumValues, 1, rank),
                                      test::RandomBits(kNumValues, 2, rank)};
  SparseExchange exchange;
  for (uint64_t step = 0; step < 3; ++step) {
    exchange.Shuffle(DrawShufflePlan({77, step}, kTensors, comm.size(), comm.rank()), flats, comm);
  }
  exchange.Average(DrawIndices({77, 3}, kTensors), flats[0], comm);
  return flats;
}

TEST(SparseExchange, GivesTheSameBitsOverMpiAsBetweenThreads) {
  MpiSession session;
  const std::unique_ptr<Communicator> mpi = MakeMpi(session, std::chrono::seconds(60));
  ASSERT_GT(mpi->size(), 1) << "run under mpirun";
  const std::vector<torch::Tensor> over_mpi = RunExchanges(*mpi);
  std::vector<std::vector<torch::Tensor>> between_threads(mpi->size());
  std::vector<Traffic> traffic(mpi->size());
  RunInProcess(mpi->size(), [&](Communicator& comm) {
    between_threads[comm.rank()] = RunExchanges(comm);
    traffic[comm.rank()] = comm.traffic();
  });
  for (int f : {0, 1}) {
    EXPECT_TRUE(test::SameBits(over_mpi[f], between_threads[mpi->rank()][f]))
        << "rank " << mpi->rank() << ", flat " << f;
  }
  // The comparison is between different things: what the members hold differs, and differs from the
  // start.
  EXPECT_FALSE(test::SameBits(over_mpi[1], between_threads[(mpi->rank() + 1) % mpi->size()][1]));
  EXPECT_FALSE(test::SameBits(over_mpi[1], test::RandomBits(kNumValues, 2, mpi->rank())));
  EXPECT_EQ(mpi->traffic().bytes, traffic[mpi->rank()].bytes);
  EXPECT_EQ(mpi->traffic().messages, traffic[mpi->rank()].messages);
  mpi->Barrier();
}

}  // namespace
}  // namespace basin::comm
