// The collectives of the MPI backend beside Open MPI's own, by bus bandwidth in the convention of
// nccl-tests: bytes / time x 2 (n - 1) / n for all-reduce, x (n - 1) / n for all-gather and
// all-to-all, x 1 for broadcast, where bytes is the whole tensor (all-gather: the gathered one).
// Basin's operations keep a fixed order of summation and a deadline.
//   mpirun -n 2 bench_collectives [--sizes 1024,...] [--seconds 0.2] [--json FILE]
#include <ATen/Parallel.h>
#include <mpi.h>
#include <torch/types.h>

#include <span>

#include "base/error.h"
#include "base/json.h"
#include "bench/measure.h"
#include "comm/mpi.h"

namespace basin::bench {
namespace {

/// Quiet seconds of one call, from batches long enough for the clock.
double Time(double budget, const std::function<void()>& call) {
  for (int k = 0; k < 3; ++k) call();
  const double one =
      SlowestRank(call);  // the same on all ranks, and so is everything computed from it
  constexpr int kBatches = 20;
  const int calls = std::max(1, static_cast<int>(budget / kBatches / one));
  std::vector<double> seconds;
  for (int batch = 0; batch < kBatches; ++batch) {
    seconds.push_back(SlowestRank([&] {
                        for (int k = 0; k < calls; ++k) call();
                      }) /
                      calls);
  }
  return Quiet(seconds);
}

struct Collective {
  std::string name;
  double factor;  ///< bus bandwidth = bytes / seconds x factor
  std::function<void()> basin;
  std::function<void()> bare;
  std::function<bool()> agree;
};

/// The operations on tensors of n floats; `x` and what they write live in `keep`.
std::vector<Collective> Collectives(comm::Communicator& group, int64_t n,
                                    std::vector<torch::Tensor>& keep) {
  const int size = group.size(), count = static_cast<int>(n), part = count / size;
  const double ring = static_cast<double>(size - 1) / size;
  // Zeros stay zeros however often they are summed, and small whole numbers add exactly for the
  // comparison.
  keep = {torch::zeros({n}),
          torch::zeros({n}),
          torch::arange(part) % 1000 + static_cast<float>(group.rank()),
          torch::Tensor(),
          torch::empty({part * size}),
          torch::arange(part * size) % 1000 + static_cast<float>(group.rank()),
          torch::empty({part * size}),
          torch::empty({part * size})};
  for (int k : {2, 5}) keep[k] = keep[k].to(torch::kFloat32);
  float* reduced = keep[1].data_ptr<float>();
  const std::vector<int64_t> counts(size, part);
  const auto all_to_all = [&group, &keep, counts] {
    group.AllToAllV(keep[5], counts, keep[6], counts);
  };
  std::vector<int> raw_counts(size, part), begins(size);
  for (int p = 0; p < size; ++p) begins[p] = p * part;
  return {
      {"AllReduceSum", 2 * ring, [&] { group.AllReduceSum(keep[0]); },
       [=] { MPI_Allreduce(MPI_IN_PLACE, reduced, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); },
       [&, reduced, count] {
         keep[0].copy_(torch::arange(count) % 1000 + group.rank());
         keep[1].copy_(keep[0]);
         group.AllReduceSum(keep[0]);
         MPI_Allreduce(MPI_IN_PLACE, reduced, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
         return torch::equal(keep[0], keep[1]);
       }},
      {"AllGather", ring, [&] { keep[3] = group.AllGather(keep[2]); },
       [&, part] {
         MPI_Allgather(keep[2].data_ptr(), part, MPI_FLOAT, keep[4].data_ptr(), part, MPI_FLOAT,
                       MPI_COMM_WORLD);
       },
       [&] { return torch::equal(keep[3].flatten(), keep[4]); }},
      {"AllToAllV", ring, all_to_all,
       [&, raw_counts, begins] {
         MPI_Alltoallv(keep[5].data_ptr(), raw_counts.data(), begins.data(), MPI_FLOAT,
                       keep[7].data_ptr(), raw_counts.data(), begins.data(), MPI_FLOAT,
                       MPI_COMM_WORLD);
       },
       [&] { return torch::equal(keep[6], keep[7]); }},
      {"Broadcast", 1, [&] { group.Broadcast(keep[0], 0); },
       [=] { MPI_Bcast(reduced, count, MPI_FLOAT, 0, MPI_COMM_WORLD); },
       [&, reduced, count] {
         for (int k : {0, 1}) keep[k].fill_(7.0f + static_cast<float>(group.rank()));
         group.Broadcast(keep[0], 0);
         MPI_Bcast(reduced, count, MPI_FLOAT, 0, MPI_COMM_WORLD);
         return torch::equal(keep[0], keep[1]) && keep[0].eq(7).all().item<bool>();
       }},
  };
}

int Main(int argc, char** argv) {
  const Options options(argc, argv, {"--sizes", "--seconds", "--json"});
  at::set_num_threads(1);
  comm::MpiSession session;
  const auto group = comm::MakeMpi(session, std::chrono::seconds(60));
  const double budget = std::stod(options.Get("--seconds", "0.2"));
  const bool talks = group->rank() == 0;
  base::Json rows = base::Json::array();
  if (talks) {
    std::printf(
        "%d ranks, float32\n\n| operation | bytes | Basin us | Basin GB/s | MPI us | MPI GB/s | "
        "MPI us / Basin us |\n"
        "|---|---|---|---|---|---|---|\n",
        group->size());
  }
  for (double bytes :
       options.Numbers("--sizes", "1024,16384,262144,1048576,4194304,16777216,67108864")) {
    std::vector<torch::Tensor> keep;
    for (const Collective& one : Collectives(*group, static_cast<int64_t>(bytes) / 4, keep)) {
      const double basin = Time(budget, one.basin), bare = Time(budget, one.bare);
      BASIN_CHECK(one.agree(), one.name, " and Open MPI's disagree at ", bytes, " bytes");
      const auto bandwidth = [&](double seconds) { return bytes / seconds * one.factor / 1e9; };
      rows.push_back({{"operation", one.name},
                      {"bytes", bytes},
                      {"basin_us", basin * 1e6},
                      {"mpi_us", bare * 1e6},
                      {"basin_gb_s", bandwidth(basin)},
                      {"mpi_gb_s", bandwidth(bare)}});
      if (!talks) continue;
      std::printf("| %s | %.0f | %.1f | %.3f | %.1f | %.3f | %.2f |\n", one.name.c_str(), bytes,
                  basin * 1e6, bandwidth(basin), bare * 1e6, bandwidth(bare), bare / basin);
    }
  }
  const std::string json = options.Get("--json", "");
  if (talks && !json.empty()) base::WriteJson(json, rows);
  return 0;
}

}  // namespace
}  // namespace basin::bench

int main(int argc, char** argv) { return basin::bench::Main(argc, argv); }
