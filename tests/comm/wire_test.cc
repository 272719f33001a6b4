// What really leaves a rank. The MPI_Isend of this program stands before the library's and counts
// by itself, so that the ledger is not compared with its own formulas.
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/torch.h>

#include <numeric>

#include "comm/mpi.h"
#include "comm/sparse_exchange.h"
#include "tests/support/random_bits.h"

namespace {

basin::comm::Traffic wire;  // messages with content; a barrier's are empty
int num_other_calls = 0;    // to operations that would send past the count

}  // namespace

extern "C" {

int MPI_Isend(const void* data, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
              MPI_Request* request) {
  int element = 0;
  PMPI_Type_size(type, &element);
  wire.bytes += int64_t{count} * element;
  wire.messages += count > 0 ? 1 : 0;
  return PMPI_Isend(data, count, type, peer, tag, comm, request);
}

#define BASIN_FORBID(name, parameters) \
  int name parameters { return ++num_other_calls, MPI_ERR_OTHER; }
BASIN_FORBID(MPI_Send, (const void*, int, MPI_Datatype, int, int, MPI_Comm))
BASIN_FORBID(MPI_Bcast, (void*, int, MPI_Datatype, int, MPI_Comm))
BASIN_FORBID(MPI_Allreduce, (const void*, void*, int, MPI_Datatype, MPI_Op, MPI_Comm))
BASIN_FORBID(MPI_Allgather, (const void*, int, MPI_Datatype, void*, int, MPI_Datatype, MPI_Comm))
BASIN_FORBID(MPI_Alltoallv, (const void*, const int*, const int*, MPI_Datatype, void*, const int*,
                             const int*, MPI_Datatype, MPI_Comm))

}  // extern "C"

namespace basin::comm {
namespace {

/// Runs `call` and compares what the communicator says with what was sent.
template <typename Call>
Traffic Sent(Communicator& comm, const char* operation, Call&& call) {
  const Traffic said = comm.traffic(), seen = wire;
  call();
  const Traffic sent{wire.bytes - seen.bytes, wire.messages - seen.messages};
  EXPECT_EQ(comm.traffic().bytes - said.bytes, sent.bytes)
      << operation << " on rank " << comm.rank();
  EXPECT_EQ(comm.traffic().messages - said.messages, sent.messages)
      << operation << " on rank " << comm.rank();
  return sent;
}

void EveryOperation(Communicator& comm, int64_t n) {
  torch::Tensor x = torch::ones({n});
  Sent(comm, "AllReduceSum", [&] { comm.AllReduceSum(x); });
  Sent(comm, "AllGather", [&] { comm.AllGather(x); });
  for (int root = 0; root < comm.size(); ++root)
    Sent(comm, "Broadcast", [&] { comm.Broadcast(x, root); });
  Sent(comm, "Barrier", [&] { comm.Barrier(); });
  // Ragged: n x (rank + 1) to every peer but the next, which gets nothing.
  std::vector<int64_t> send(comm.size()), receive(comm.size());
  for (int p = 0; p < comm.size(); ++p) {
    send[p] = p == (comm.rank() + 1) % comm.size() ? 0 : n * (comm.rank() + 1);
    receive[p] = comm.rank() == (p + 1) % comm.size() ? 0 : n * (p + 1);
  }
  const auto values = [](const std::vector<int64_t>& counts) {
    return torch::ones({std::accumulate(counts.begin(), counts.end(), int64_t{0})});
  };
  torch::Tensor received = values(receive);
  Sent(comm, "AllToAllV", [&] { comm.AllToAllV(values(send), send, received, receive); });
}

TEST(Wire, CarriesWhatTheLedgerSaysAndOfAShuffleNothingButTheValues) {
  MpiSession session;
  const std::unique_ptr<Communicator> comm = MakeMpi(session, std::chrono::seconds(60));
  ASSERT_GT(comm->size(), 1) << "run under mpirun";
  for (int64_t n : {0, 1, 3, 1013}) EveryOperation(*comm, n);

  const std::vector<SelectedTensor> tensors = {{0, 500, 1}, {500, 40000, 0.02}};
  const auto rank = static_cast<uint64_t>(comm->rank());
  std::vector<torch::Tensor> flats = {test::RandomBits(40500, 1, rank),
                                      test::RandomBits(40500, 2, rank)};
  SparseExchange exchange;
  for (uint64_t step = 0; step < 3; ++step) {
    const ShufflePlan plan = DrawShufflePlan({7, step}, tensors, comm->size(), comm->rank());
    const Traffic sent = Sent(*comm, "Shuffle", [&] { exchange.Shuffle(plan, flats, *comm); });
    EXPECT_EQ(sent.bytes, 2 * 4 * plan.num_moved());
    EXPECT_EQ(sent.messages, comm->size() - 1);
  }
  EXPECT_EQ(num_other_calls, 0);
  comm->Barrier();
}

}  // namespace
}  // namespace basin::comm
