// One shuffle of WASH between the ranks of mpirun, whole and in its parts, beside a bare
// MPI_Alltoallv of the same bytes. Checks in the same run that no value was lost and that the
// counted bytes obey the formula.
//   mpirun -n 2 bench_exchange [--parameters 11220132] [--p 0.001,0.01,0.05] [--repetitions 101]
//   [--cold 0] [--json FILE]
#include <ATen/Parallel.h>
#include <mpi.h>
#include <torch/types.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "bench/measure.h"
#include "comm/mpi.h"
#include "comm/sparse_exchange.h"

namespace basin::bench {
namespace {

using comm::SelectedTensor;

/// The tensors of a ResNet-18 for CIFAR-100 where the number of parameters is its own, else 62
/// equal ones.
std::vector<int64_t> TensorSizes(int64_t num_parameters) {
  std::vector<int64_t> sizes;
  const auto block = [&](int64_t in, int64_t out, int kernel) {
    sizes.insert(sizes.end(),
                 {in * out * kernel * kernel, out, out});  // convolution and batch norm
  };
  block(3, 64, 3);
  for (int64_t width = 64, in = 64; width <= 512; in = width, width *= 2) {
    block(in, width, 3);
    block(width, width, 3);
    if (in != width) block(in, width, 1);
    block(width, width, 3);
    block(width, width, 3);
  }
  sizes.insert(sizes.end(), {512 * 100, 100});
  int64_t sum = 0;
  for (int64_t size : sizes) sum += size;
  if (sum == num_parameters) return sizes;
  sizes.assign(62, num_parameters / 62);
  sizes.back() += num_parameters % 62;
  return sizes;
}

std::vector<SelectedTensor> Select(std::span<const int64_t> sizes, double rate) {
  std::vector<SelectedTensor> tensors;
  int64_t offset = 0;
  for (int64_t size : sizes) {
    tensors.push_back({offset, size, rate});
    offset += size;
  }
  return tensors;
}

/// The bits of value i of member n say i and n, so that a value tells where it came from.
torch::Tensor Tagged(int64_t n, const comm::Communicator& group) {
  torch::Tensor flat = torch::empty({n});
  for (int64_t i = 0; i < n; ++i) {
    const auto tag = static_cast<uint32_t>(i * group.size() + group.rank());
    std::memcpy(flat.data_ptr<float>() + i, &tag, sizeof(tag));
  }
  return flat;
}

/// Every coordinate still holds the values it held at first, one from each member. Returns the
/// share that moved.
double CheckNothingLost(const torch::Tensor& flat, const comm::Communicator& group) {
  BASIN_CHECK(group.size() <= 64, "the check has a bit for each of 64 members; found ", group.size());
  const int64_t n = flat.numel();
  std::vector<uint64_t> members(n);
  int64_t num_moved = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t tag = 0;
    std::memcpy(&tag, flat.data_ptr<float>() + i, sizeof(tag));
    BASIN_CHECK(tag / group.size() == i, "coordinate ", i, " holds a value of coordinate ",
                tag / group.size());
    members[i] = uint64_t{1} << (tag % group.size());
    num_moved += static_cast<int>(tag % group.size()) != group.rank();
  }
  MPI_Allreduce(MPI_IN_PLACE, members.data(), static_cast<int>(n), MPI_UINT64_T, MPI_BOR,
                MPI_COMM_WORLD);
  for (int64_t i = 0; i < n; ++i) {
    BASIN_CHECK(members[i] == ~uint64_t{0} >> (64 - group.size()), "a member's value of coordinate ",
                i, " is lost");
  }
  return static_cast<double>(num_moved) / static_cast<double>(n);
}

torch::Tensor IndexTensor(std::vector<int64_t>& index) {
  return torch::from_blob(index.data(), {std::ssize(index)}, torch::kInt64);
}

/// MPI_Alltoallv on MPI_COMM_WORLD with the counts of a plan.
struct BareExchange {
  BareExchange() = default;
  explicit BareExchange(const comm::ShufflePlan& plan)
      : send_counts(plan.send_counts.begin(), plan.send_counts.end()),
        receive_counts(plan.receive_counts.begin(), plan.receive_counts.end()),
        send_begin(send_counts.size()),
        receive_begin(send_counts.size()) {
    std::exclusive_scan(send_counts.begin(), send_counts.end(), send_begin.begin(), 0);
    std::exclusive_scan(receive_counts.begin(), receive_counts.end(), receive_begin.begin(), 0);
  }
  void Run(const torch::Tensor& send, torch::Tensor& receive) const {
    MPI_Alltoallv(send.data_ptr(), send_counts.data(), send_begin.data(), MPI_FLOAT,
                  receive.data_ptr(), receive_counts.data(), receive_begin.data(), MPI_FLOAT,
                  MPI_COMM_WORLD);
  }
  std::vector<int> send_counts, receive_counts, send_begin, receive_begin;
};

constexpr int kWarmUp = 5;

struct Bench {
  comm::Communicator& group;
  int64_t num_parameters;
  int num_repetitions;
  /// Empty the caches before each repetition, as the other work of a training step does.
  bool cold;
  torch::Tensor scratch = torch::ones({int64_t{1} << 24});

  /// Seconds of each repetition; work(k) gets the number of the repetition.
  std::vector<double> Time(const std::function<void(uint64_t)>& work) {
    std::vector<double> seconds;
    for (int k = 0; k < kWarmUp + num_repetitions; ++k) {
      if (cold) scratch.add_(1);
      const double one = SlowestRank([&] { work(static_cast<uint64_t>(k)); });
      if (k >= kWarmUp) seconds.push_back(one);
    }
    return seconds;
  }

  base::Json Run(double p);

 private:
  void Parts(std::span<const SelectedTensor> tensors, base::Json& row);
};

base::Json Bench::Run(double p) {
  const double rate = comm::SelectionRate(p, group.size());
  const std::vector<SelectedTensor> tensors = Select(TensorSizes(num_parameters), rate);
  torch::Tensor flat = Tagged(num_parameters, group);
  comm::SparseExchange exchange;
  int64_t num_moved = 0, num_exchanges = 0;
  const comm::Traffic before = group.traffic();
  const std::vector<double> whole = Time([&](uint64_t k) {
    num_moved += exchange.Shuffle({1, k}, tensors, {&flat, 1}, group);
    ++num_exchanges;
  });
  const comm::Traffic after = group.traffic();
  BASIN_CHECK(after.bytes - before.bytes == 4 * num_moved, "counted ", after.bytes - before.bytes,
              " bytes for ", num_moved, " values");
  const double mean_moved = static_cast<double>(num_moved) / static_cast<double>(num_exchanges);
  const double predicted = p * static_cast<double>(num_parameters);
  const double share_moved = CheckNothingLost(flat, group);
  base::Json row = {{"p", p},
                    {"moved", mean_moved},
                    {"bytes", 4 * mean_moved},
                    {"bytes_by_formula", 4 * predicted},
                    {"share_displaced_at_the_end", share_moved},
                    {"median_ms", Median(whole) * 1e3},
                    {"quiet_ms", Quiet(whole) * 1e3},
                    {"quiet_ns_per_moved", Quiet(whole) * 1e9 / mean_moved}};
  Parts(tensors, row);
  return row;
}

/// Each repetition has its own draw, as in training: the lines it touches are not those of the last
/// one.
void Bench::Parts(std::span<const SelectedTensor> tensors, base::Json& row) {
  const int size = group.size(), rank = group.rank();
  torch::Tensor flat = Tagged(num_parameters, group);
  torch::Tensor send = torch::empty({0}), receive = torch::empty({0}),
                bare_receive = torch::empty({0});
  comm::ShufflePlan plan;
  BareExchange bare;
  const std::vector<std::pair<const char*, std::function<void(uint64_t)>>> parts = {
      {"draw_ms",
       [&](uint64_t k) {
         comm::DrawIndices({2, k}, tensors);
       }},
      {"plan_ms",
       [&](uint64_t k) {
         plan = comm::DrawShufflePlan({2, k}, tensors, size, rank);
       }},
      {"pack_ms", [&](uint64_t) { comm::GatherAt(flat, IndexTensor(plan.send_index), send); }},
      {"transfer_ms",
       [&](uint64_t) { group.AllToAllV(send, plan.send_counts, receive, plan.receive_counts); }},
      {"unpack_ms",
       [&](uint64_t) { comm::ScatterAt(receive, IndexTensor(plan.receive_index), flat); }},
      {"mpi_alltoallv_ms", [&](uint64_t) { bare.Run(send, bare_receive); }}};
  std::vector<std::vector<double>> seconds(parts.size());
  for (int k = 0; k < kWarmUp + num_repetitions; ++k) {
    if (cold) scratch.add_(1);
    for (size_t part = 0; part < parts.size(); ++part) {
      if (part == 2) {  // the plan is drawn; what follows needs room
        for (torch::Tensor* buffer : {&send, &receive, &bare_receive})
          buffer->resize_({plan.num_moved()});
        bare = BareExchange(plan);
      }
      const double one = SlowestRank([&] { parts[part].second(static_cast<uint64_t>(k)); });
      if (k >= kWarmUp) seconds[part].push_back(one);
    }
    BASIN_CHECK(std::memcmp(bare_receive.data_ptr(), receive.data_ptr(), receive.nbytes()) == 0,
                "AllToAllV and MPI_Alltoallv disagree");
  }
  for (size_t part = 0; part < parts.size(); ++part)
    row[parts[part].first] = Quiet(seconds[part]) * 1e3;
  CheckNothingLost(flat, group);
}

void Print(const base::Json& rows) {
  std::printf(
      "| p | moved | median | quiet | ns/moved | draw | draw + permute | pack | transfer | unpack "
      "| MPI_Alltoallv | bytes / formula |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const base::Json& row : rows) {
    const auto number = [&](const char* key) { return row[key].get<double>(); };
    std::printf("| %g | %.0f | %.3f | %.3f | %.1f |", number("p"), number("moved"),
                number("median_ms"), number("quiet_ms"), number("quiet_ns_per_moved"));
    for (const char* part :
         {"draw_ms", "plan_ms", "pack_ms", "transfer_ms", "unpack_ms", "mpi_alltoallv_ms"}) {
      std::printf(" %.3f |", number(part));
    }
    std::printf(" %.4f |\n", number("bytes") / number("bytes_by_formula"));
  }
}

int Main(int argc, char** argv) {
  const Options options(argc, argv, {"--parameters", "--p", "--repetitions", "--cold", "--json"});
  base::KeepFreedMemory();  // as the program does
  at::set_num_threads(1);
  comm::MpiSession session;
  const auto group = comm::MakeMpi(session, std::chrono::seconds(60));
  Bench bench{.group = *group,
              .num_parameters = std::stoll(options.Get("--parameters", "11220132")),
              .num_repetitions = std::stoi(options.Get("--repetitions", "101")),
              .cold = options.Get("--cold", "0") != "0"};
  base::Json rows = base::Json::array();
  for (double p : options.Numbers("--p", "0.001,0.01,0.05")) rows.push_back(bench.Run(p));
  if (group->rank() != 0) return 0;
  std::printf(
      "%d ranks, %lld parameters, %d repetitions, caches %s; milliseconds of the slowest rank: the "
      "median of the whole, all else the quiet tenth percentile\n",
      group->size(), static_cast<long long>(bench.num_parameters), bench.num_repetitions,
      bench.cold ? "cold" : "warm");
  Print(rows);
  const std::string json = options.Get("--json", "");
  if (!json.empty()) base::WriteJson(json, rows);
  return 0;
}

}  // namespace
}  // namespace basin::bench

int main(int argc, char** argv) { return basin::bench::Main(argc, argv); }
