// The contract of comm/communicator.h as checks that run on every rank of any group. No check names a backend.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/seed.h"
#include "comm/communicator.h"
#include "comm/rules.h"

namespace basin::comm::contract {

/// The long one, which costs most of the time, for one dtype: lengths and dtypes do not interact beyond the element size.
inline std::vector<int64_t> Lengths(torch::Dtype dtype) {
  if (dtype == torch::kFloat32) return {0, 1, 7, 1013, 1'000'000};
  return {0, 1, 7, 1013};
}
inline const std::vector<torch::Dtype> kSummable = {torch::kFloat32, torch::kFloat64, torch::kInt64};
inline const std::vector<torch::Dtype> kAll = {torch::kFloat32, torch::kFloat64, torch::kInt64, torch::kUInt8};

/// [n], element i of rank r is (r + 1) * (i mod 11): sums of up to 8 ranks stay below 2^24, so they are exact in float32
/// and no order of summation can matter; products stay below 256 for uint8.
inline torch::Tensor Pattern(int rank, int64_t n, torch::Dtype dtype) {
  return (torch::arange(n, torch::kInt64).remainder(11) * (rank + 1)).to(dtype);
}

/// What the operations of one check added to the account.
class TrafficSince {
 public:
  explicit TrafficSince(const Communicator& comm) : comm_(comm), start_(comm.traffic()) {}
  int64_t bytes() const { return comm_.traffic().bytes - start_.bytes; }
  int64_t messages() const { return comm_.traffic().messages - start_.messages; }

 private:
  const Communicator& comm_;
  Traffic start_;
};

inline void SumIsExact(Communicator& comm) {
  const int64_t ranks = int64_t{comm.size()} * (comm.size() + 1) / 2;
  for (torch::Dtype dtype : kSummable) {
    for (int64_t n : Lengths(dtype)) {
      torch::Tensor x = Pattern(comm.rank(), n, dtype).to(comm.device());
      comm.AllReduceSum(x);
      EXPECT_TRUE(torch::equal(x.cpu(), Pattern(0, n, dtype) * ranks)) << dtype << " [" << n << "]";
    }
  }
}

/// Random float32: every rank computes the sum of all ranks' vectors itself, by a plain loop in the order of the ranks.
inline void SumHasTheBitsOfRankOrder(Communicator& comm) {
  for (int64_t n : {5, 100'003}) {
    std::vector<float> expected(n), own;
    for (int r = 0; r < comm.size(); ++r) {
      base::Stream stream({.run_seed = 7, .a = static_cast<uint64_t>(r), .b = static_cast<uint64_t>(n)});
      std::vector<float> values(n);
      for (float& value : values) value = static_cast<float>(stream.NextDouble() * 2 - 1);
      if (r == comm.rank()) own = values;
      for (int64_t i = 0; i < n; ++i) expected[i] = r == 0 ? values[i] : expected[i] + values[i];
    }
    torch::Tensor x = torch::from_blob(own.data(), {n}).clone();
    comm.AllReduceSum(x);
    EXPECT_EQ(std::memcmp(x.data_ptr(), expected.data(), n * sizeof(float)), 0) << "[" << n << "]";
  }
}

inline void GatherPutsRanksInRows(Communicator& comm) {
  for (torch::Dtype dtype : kAll) {
    for (int64_t n : Lengths(dtype)) {
      const torch::Tensor rows = comm.AllGather(Pattern(comm.rank(), n, dtype).to(comm.device()));
      ASSERT_EQ(rows.sizes(), (std::vector<int64_t>{comm.size(), n}));
      EXPECT_EQ(rows.scalar_type(), dtype);
      EXPECT_EQ(rows.device().type(), comm.device().type());
      for (int r = 0; r < comm.size(); ++r) {
        EXPECT_TRUE(torch::equal(rows[r].cpu(), Pattern(r, n, dtype))) << dtype << " [" << n << "] row " << r;
      }
    }
  }
}

inline void BroadcastSendsEveryRootsTensor(Communicator& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (torch::Dtype dtype : kAll) {
      for (int64_t n : Lengths(dtype)) {
        torch::Tensor x = Pattern(comm.rank(), n, dtype).to(comm.device());
        comm.Broadcast(x, root);
        EXPECT_TRUE(torch::equal(x.cpu(), Pattern(root, n, dtype))) << dtype << " [" << n << "] from " << root;
      }
    }
    torch::Tensor matrix = Pattern(comm.rank(), 21, torch::kFloat32).view({3, 7}).to(comm.device());
    comm.Broadcast(matrix, root);
    EXPECT_TRUE(torch::equal(matrix.cpu(), Pattern(root, 21, torch::kFloat32).view({3, 7})));
  }
}

/// How many elements `from` sends to `to`: ragged, with zeros for some peers, and rank 2 silent.
inline int64_t Ragged(int from, int to, int64_t scale) { return from == 2 ? 0 : (from * 7 + to * 3) % 4 * scale; }

/// Elements that no other pair of ranks exchanges: 1000 from + 100 to + position mod 97 (uint8 wraps alike on both sides).
inline torch::Tensor Parcel(int from, int to, int64_t n, torch::Dtype dtype) {
  return (torch::arange(n, torch::kInt64).remainder(97) + 1000 * from + 100 * to).to(dtype);
}

inline void AllToAllDeliversRaggedParcels(Communicator& comm) {
  const int me = comm.rank();
  for (torch::Dtype dtype : kAll) {
    for (int64_t scale : {0, 1, 333, dtype == torch::kFloat32 ? 100'000 : 334}) {
      std::vector<int64_t> send_counts, recv_counts;
      std::vector<torch::Tensor> send_parts{torch::empty({0}, dtype)}, recv_parts{torch::empty({0}, dtype)};
      for (int p = 0; p < comm.size(); ++p) {
        send_counts.push_back(Ragged(me, p, scale));
        recv_counts.push_back(Ragged(p, me, scale));
        send_parts.push_back(Parcel(me, p, send_counts[p], dtype));
        recv_parts.push_back(Parcel(p, me, recv_counts[p], dtype));
      }
      const torch::Tensor send = torch::cat(send_parts).to(comm.device()), expected = torch::cat(recv_parts);
      torch::Tensor recv = torch::zeros_like(expected, comm.device());
      const TrafficSince sent(comm);
      comm.AllToAllV(send, send_counts, recv, recv_counts);
      EXPECT_TRUE(torch::equal(recv.cpu(), expected)) << dtype << " scale " << scale;
      const int64_t others = send.numel() - send_counts[me];
      EXPECT_EQ(sent.bytes(), others * static_cast<int64_t>(send.element_size()));
      const int64_t peers = std::ranges::count_if(send_counts, [](int64_t count) { return count > 0; });
      EXPECT_EQ(sent.messages(), peers - (send_counts[me] > 0 ? 1 : 0));
    }
  }
}

/// One transfer of a check: what this rank sends and what must arrive, `round` telling the transfers apart.
struct RaggedTransfer {
  RaggedTransfer(Communicator& comm, int64_t scale, int round) {
    std::vector<torch::Tensor> send_parts{torch::empty({0})}, recv_parts{torch::empty({0})};
    for (int p = 0; p < comm.size(); ++p) {
      send_counts.push_back(Ragged(comm.rank(), p, scale));
      recv_counts.push_back(Ragged(p, comm.rank(), scale));
      send_parts.push_back(Parcel(comm.rank(), p, send_counts[p], torch::kFloat32) + round * 10'000);
      recv_parts.push_back(Parcel(p, comm.rank(), recv_counts[p], torch::kFloat32) + round * 10'000);
    }
    send = torch::cat(send_parts).to(comm.device());
    expected = torch::cat(recv_parts);
    recv = torch::zeros_like(expected, comm.device());
    transfer = comm.StartAllToAllV(send, send_counts, recv, recv_counts);
    send_counts.clear();  // the counts are the caller's again
    recv_counts.clear();
  }
  void Finish() {
    transfer->Wait();
    EXPECT_TRUE(torch::equal(recv.cpu(), expected));
  }

  std::vector<int64_t> send_counts, recv_counts;
  torch::Tensor send, recv, expected;
  std::unique_ptr<Transfer> transfer;
};

/// Transfers of all sizes overlap, end in another order than they began, and other calls come in between.
inline void TransfersOverlapEachOtherAndOtherCalls(Communicator& comm) {
  for (const int64_t scale : {0, 1, 333, 100'000}) {
    const TrafficSince sent(comm);
    RaggedTransfer first(comm, scale, 0), second(comm, scale, 1);
    const int64_t own = Ragged(comm.rank(), comm.rank(), scale);
    EXPECT_EQ(sent.bytes(), 2 * 4 * (first.send.numel() - own));  // counted when they start
    SumIsExact(comm);
    RaggedTransfer third(comm, scale, 2);
    second.Finish();
    comm.Barrier();
    third.Finish();
    first.Finish();
  }
}

/// A rank that is done and goes leaves what it has sent.
inline void ATransferArrivesAfterItsSenderHasDroppedTheTensor(Communicator& comm) {
  RaggedTransfer transfer(comm, 1000, 3);
  transfer.send = torch::Tensor();
  comm.Barrier();
  transfer.Finish();
}

/// Evidence in a folder all ranks see: before round k a rank leaves a file, after it every rank's file must be there.
inline void BarrierWaitsForEveryRank(Communicator& comm) {
  torch::Tensor path = torch::zeros({64}, torch::kUInt8);
  char* folder = static_cast<char*>(path.data_ptr());
  if (comm.rank() == 0) {
    std::strcpy(folder, "/tmp/basin_barrier_XXXXXX");
    ASSERT_NE(mkdtemp(folder), nullptr);
  }
  torch::Tensor travelling = path.to(comm.device());
  comm.Broadcast(travelling, 0);
  path.copy_(travelling);
  const auto evidence = [&](int round, int rank) { return std::filesystem::path(folder) / Text(round, "_", rank); };
  for (int round = 0; round < 20; ++round) {
    std::ofstream(evidence(round, comm.rank())).put('x');
    comm.Barrier();
    for (int r = 0; r < comm.size(); ++r) EXPECT_TRUE(std::filesystem::exists(evidence(round, r)));
  }
  comm.Barrier();
  if (comm.rank() == 0) std::filesystem::remove_all(folder);
}

/// The formulas of communicator.h. A broadcast hands the tensor on along a tree: size - 1 times in all.
inline void TrafficFollowsTheFormulas(Communicator& comm) {
  const int64_t peers = comm.size() - 1;
  for (torch::Dtype dtype : kAll) {
    for (int64_t n : {0, 1, 3, 1013}) {
      torch::Tensor x = Pattern(comm.rank(), n, dtype).to(comm.device());
      const int64_t bytes = n * static_cast<int64_t>(x.element_size());
      const TrafficSince gathered(comm);
      comm.AllGather(x);
      EXPECT_EQ(gathered.bytes(), peers * bytes);
      EXPECT_EQ(gathered.messages(), n > 0 ? peers : 0);

      const TrafficSince broadcast(comm);
      comm.Broadcast(x, comm.size() - 1);
      torch::Tensor mine = torch::tensor({broadcast.bytes(), broadcast.messages()}).to(comm.device());
      comm.AllReduceSum(mine);
      const torch::Tensor total = mine.cpu();
      EXPECT_EQ(total[0].item<int64_t>(), peers * bytes);
      EXPECT_EQ(total[1].item<int64_t>(), n > 0 ? peers : 0);
    }
  }
  const TrafficSince barrier(comm);
  comm.Barrier();
  EXPECT_EQ(barrier.bytes(), 0);
  EXPECT_EQ(barrier.messages(), 0);
}

/// CPU backends: (n - s_r) + (size - 1) s_r elements. Messages: one to the owner of each non-empty shard but the own, and
/// one to each peer when the own shard is not empty. Shards counted one by one rather than by ShardBounds.
inline void SumTrafficFollowsTheFormula(Communicator& comm) {
  for (torch::Dtype dtype : kSummable) {
    for (int64_t n : {0, 1, 3, 7, 1013}) {
      std::vector<int64_t> shard(comm.size(), 0);
      for (int64_t i = 0; i < n; ++i) ++shard[i % comm.size()];
      torch::Tensor x = Pattern(comm.rank(), n, dtype);
      const TrafficSince sent(comm);
      comm.AllReduceSum(x);
      const int64_t own = shard[comm.rank()], peers = comm.size() - 1;
      EXPECT_EQ(sent.bytes(), ((n - own) + peers * own) * static_cast<int64_t>(x.element_size()));
      int64_t messages = own > 0 ? peers : 0;
      for (int r = 0; r < comm.size(); ++r) messages += r != comm.rank() && shard[r] > 0 ? 1 : 0;
      EXPECT_EQ(sent.messages(), messages);
      EXPECT_LE(sent.messages(), 2 * peers);
    }
  }
}

/// A breach that a rank can see alone is refused before anything is sent, so the group stays usable.
inline void BreachesOfTheContractAreRefused(Communicator& comm) {
  const auto options = torch::TensorOptions(comm.device());
  torch::Tensor int32 = torch::zeros({4}, options.dtype(torch::kInt32));
  torch::Tensor uint8 = torch::zeros({4}, options.dtype(torch::kUInt8));
  torch::Tensor matrix = torch::zeros({2, 3}, options), strided = torch::zeros({8}, options).slice(0, 0, 8, 2);
  torch::Tensor undefined, four = torch::zeros({4}, options);
  EXPECT_THROW(comm.AllReduceSum(int32), CheckFailed);
  EXPECT_THROW(comm.AllReduceSum(uint8), CheckFailed);
  EXPECT_THROW(comm.AllReduceSum(matrix), CheckFailed);
  EXPECT_THROW(comm.AllReduceSum(strided), CheckFailed);
  EXPECT_THROW(comm.AllReduceSum(undefined), CheckFailed);
  EXPECT_THROW(comm.AllGather(int32), CheckFailed);
  EXPECT_THROW(comm.Broadcast(four, comm.size()), CheckFailed);
  EXPECT_THROW(comm.Broadcast(four, -1), CheckFailed);
  std::vector<int64_t> counts(comm.size(), 0), too_many(comm.size(), 0), negative(comm.size(), 0);
  counts[comm.rank()] = 4;
  too_many[comm.rank()] = 5;
  negative[comm.rank()] = -4;
  torch::Tensor recv = torch::zeros({4}, options), doubles = torch::zeros({4}, options.dtype(torch::kFloat64));
  EXPECT_THROW(comm.AllToAllV(four, too_many, recv, counts), CheckFailed);
  EXPECT_THROW(comm.AllToAllV(four, counts, recv, negative), CheckFailed);
  EXPECT_THROW(comm.AllToAllV(four, counts, doubles, counts), CheckFailed);
  EXPECT_THROW(comm.AllToAllV(four, std::vector<int64_t>(comm.size() + 1, 0), recv, counts), CheckFailed);
  torch::Tensor x = torch::ones({3}, options);
  comm.AllReduceSum(x);
  EXPECT_TRUE(torch::equal(x.cpu(), torch::full({3}, static_cast<float>(comm.size()))));
}

/// Thousands of operations of drawn kinds and lengths, each result checked: nothing of one call leaks into the next.
inline void ManyMixedCallsStayInStep(Communicator& comm) {
  base::Stream stream({.run_seed = 11});  // the same on every rank
  const int64_t ranks = int64_t{comm.size()} * (comm.size() + 1) / 2;
  for (int call = 0; call < 300; ++call) {
    const uint32_t kind = stream.NextBelow(4);
    const int64_t n = stream.NextBelow(200);
    const int root = static_cast<int>(stream.NextBelow(comm.size()));
    torch::Tensor x = Pattern(comm.rank(), n, torch::kFloat32).to(comm.device());
    if (kind == 0) {
      comm.AllReduceSum(x);
      ASSERT_TRUE(torch::equal(x.cpu(), Pattern(0, n, torch::kFloat32) * ranks)) << "call " << call;
    } else if (kind == 1) {
      comm.Broadcast(x, root);
      ASSERT_TRUE(torch::equal(x.cpu(), Pattern(root, n, torch::kFloat32))) << "call " << call;
    } else if (kind == 2) {
      std::vector<int64_t> counts(comm.size(), n);
      torch::Tensor recv = torch::empty({comm.size() * n}, x.options());
      comm.AllToAllV(x.repeat({comm.size()}), counts, recv, counts);
      ASSERT_TRUE(torch::equal(recv.view({comm.size(), n})[root].cpu(), Pattern(root, n, torch::kFloat32)));
    } else {
      comm.Barrier();
    }
  }
}

/// Tensors that require gradients are changed in place like others, and nothing is recorded.
inline void GradientsAreNotRecorded(Communicator& comm) {
  torch::Tensor x = torch::ones({4}, torch::TensorOptions(comm.device()).requires_grad(true));
  comm.AllReduceSum(x);
  comm.Broadcast(x, 0);
  EXPECT_TRUE(x.is_leaf());
  EXPECT_FALSE(comm.AllGather(x).requires_grad());
}

struct Check {
  const char* name;
  void (*run)(Communicator&);
};

/// For every backend.
inline const std::vector<Check> kChecks = {
    {"SumIsExact", SumIsExact},
    {"GatherPutsRanksInRows", GatherPutsRanksInRows},
    {"BroadcastSendsEveryRootsTensor", BroadcastSendsEveryRootsTensor},
    {"AllToAllDeliversRaggedParcels", AllToAllDeliversRaggedParcels},
    {"TransfersOverlapEachOtherAndOtherCalls", TransfersOverlapEachOtherAndOtherCalls},
    {"ATransferArrivesAfterItsSenderHasDroppedTheTensor", ATransferArrivesAfterItsSenderHasDroppedTheTensor},
    {"BarrierWaitsForEveryRank", BarrierWaitsForEveryRank},
    {"TrafficFollowsTheFormulas", TrafficFollowsTheFormulas},
    {"BreachesOfTheContractAreRefused", BreachesOfTheContractAreRefused},
    {"ManyMixedCallsStayInStep", ManyMixedCallsStayInStep},
    {"GradientsAreNotRecorded", GradientsAreNotRecorded},
};
/// For backends that sum in the order of the ranks by all-to-all and all-gather.
inline const std::vector<Check> kHostChecks = {
    {"SumHasTheBitsOfRankOrder", SumHasTheBitsOfRankOrder},
    {"SumTrafficFollowsTheFormula", SumTrafficFollowsTheFormula},
};

/// Two communicators over the same ranks.
inline void MessagesDoNotMix(Communicator& one, Communicator& two) {
  torch::Tensor a = torch::full({3}, 1.0F), b = torch::full({3}, 10.0F);
  one.AllReduceSum(a);
  two.AllReduceSum(b);
  EXPECT_TRUE(torch::equal(b, a * 10));
}

/// True on every rank when it is true on any: mpirun's exit code must not depend on which rank failed.
inline bool AnyRankFailed(Communicator& comm, bool failed) {
  torch::Tensor count = torch::tensor({static_cast<int64_t>(failed)});
  comm.AllReduceSum(count);
  return count.item<int64_t>() > 0;
}

inline std::vector<Check> HostChecks() {
  std::vector<Check> all = kChecks;
  all.insert(all.end(), kHostChecks.begin(), kHostChecks.end());
  return all;
}

}  // namespace basin::comm::contract
