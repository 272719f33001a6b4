// Processes under mpirun and threads of one process must compute the same bits.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "comm/in_process.h"
#include "comm/mpi.h"
#include "comm/sparse_exchange.h"
#include "comm/sparse_flight.h"
#include "tests/support/random_bits.h"

namespace basin::comm {
namespace {

constexpr int64_t kNumValues = 50000;
const std::vector<SelectedTensor> kTensors = {
    {0, 100, 1}, {100, 40000, 0.02}, {40100, 1, 1}, {40101, 5000, 0.4}};

/// Three exchanges, weights with a moment, then a sparse average, and the same rounded and late:
/// everything a run does to one member.
std::vector<torch::Tensor> RunExchanges(Communicator& comm) {
  const auto rank = static_cast<uint64_t>(comm.rank());
  std::vector<torch::Tensor> flats = {test::RandomNormal(kNumValues, 1, rank),
                                      test::RandomBits(kNumValues, 2, rank)};
  SparseExchange exchange;
  for (uint64_t step = 0; step < 3; ++step) {
    exchange.Shuffle(DrawShufflePlan({77, step}, kTensors, comm.size(), comm.rank()), flats, comm);
  }
  exchange.Average(DrawIndices({77, 3}, kTensors), flats[0], comm);
  for (uint64_t step = 4; const Payload payload : {Payload::kBFloat16, Payload::kFloat8E4M3, Payload::kFloat8E5M2}) {
    exchange.Shuffle({77, step}, kTensors, flats, comm, payload);
    exchange.Average(DrawIndices({77, step}, kTensors), flats[0], comm, payload);
    // Late and overlapping, as with a delay.
    auto shuffled = SparseFlight::OfShuffle(DrawShufflePlan({78, step}, kTensors, comm.size(), comm.rank()), 2, payload);
    auto averaged = SparseFlight::OfAverage(DrawIndices({79, step}, kTensors), payload);
    shuffled.Send(flats, comm);
    flats[0] += 0.01 * test::RandomNormal(kNumValues, step++, rank);
    averaged.Send({flats.data(), 1}, comm);
    shuffled.Land(flats, std::vector{1.0, 0.0});
    averaged.Land({flats.data(), 1}, std::vector{0.9});
  }
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
