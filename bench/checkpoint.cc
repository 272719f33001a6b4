// What a checkpoint costs: how long training is held up, beside one memory copy of the same bytes, and how fast the file is written
// and synced, beside the bare system calls. Weights and two moments, as Adam has them.
//   bench_checkpoint [--parameters 100000000] [--folder .] [--rounds 6]
#include <fcntl.h>
#include <torch/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "bench/measure.h"
#include "trainer/checkpoint/state.h"

namespace basin::bench {
namespace {

double Seconds(const std::function<void()>& work) {
  const double start = Now();
  work();
  return Now() - start;
}

/// One file of these bytes by write and fsync, in pieces of 16 MB: what the disk can do.
void WriteBare(const std::filesystem::path& path, const models::StateDict& tensors) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  BASIN_CHECK(file >= 0, path.string());
  for (const models::NamedTensor& item : tensors) {
    const auto* bytes = static_cast<const char*>(item.tensor.const_data_ptr());
    const size_t size = item.tensor.nbytes();
    for (size_t done = 0; done < size;) {
      const ssize_t written = ::write(file, bytes + done, std::min(size - done, size_t{16} << 20));
      BASIN_CHECK(written > 0, path.string(), ": ", std::strerror(errno));
      done += static_cast<size_t>(written);
    }
  }
  BASIN_CHECK(::fsync(file) == 0, path.string());
  ::close(file);
}

int Main(int argc, char** argv) {
  const Options options(argc, argv, {"--parameters", "--folder", "--rounds"});
  const int64_t parameters = std::stoll(options.Get("--parameters", "100000000"));
  const std::filesystem::path folder = options.Get("--folder", ".");
  models::StateDict live;
  for (const char* name : {"weights", "moment.0", "moment.1"}) live.push_back({name, torch::rand({parameters})});
  trainer::Snapshot snapshot;
  snapshot.Reserve(live);
  std::vector<torch::Tensor> copy;
  for (const auto& item : live) copy.push_back(torch::zeros_like(item.tensor).fill_(0));

  std::vector<double> hold, bare_hold, write, bare_write;
  for (int round = 0; round < std::stoi(options.Get("--rounds", "6")); ++round) {  // in turn
    bare_hold.push_back(Seconds([&] {
      for (size_t k = 0; k < live.size(); ++k) {
        std::memcpy(copy[k].mutable_data_ptr(), live[k].tensor.const_data_ptr(), live[k].tensor.nbytes());
      }
    }));
    hold.push_back(Seconds([&] { snapshot.Take(live); }));
    const auto bare = [&] { bare_write.push_back(Seconds([&] { WriteBare(folder / "bench_checkpoint.bare", live); })); };
    const auto own = [&] { write.push_back(Seconds([&] { snapshot.Write(folder / "bench_checkpoint.safetensors"); })); };
    // Now one is first, now the other: the second meets a disk that still has work.
    round % 2 == 0 ? (bare(), own()) : (own(), bare());
    for (const char* name : {"bench_checkpoint.bare", "bench_checkpoint.safetensors"}) std::filesystem::remove(folder / name);
  }
  const double megabytes = 3.0 * 4 * static_cast<double>(parameters) / 1e6;
  std::printf("%.0f MB\n| | Basin | bare | bare / Basin |\n|---|---|---|---|\n", megabytes);
  std::printf("| held up, ms | %.1f | %.1f | %.2f |\n", 1e3 * Median(hold), 1e3 * Median(bare_hold), Median(bare_hold) / Median(hold));
  std::printf("| written and synced, MB/s | %.0f | %.0f | %.2f |\n", megabytes / Median(write), megabytes / Median(bare_write),
              Median(bare_write) / Median(write));
  return 0;
}

}  // namespace
}  // namespace basin::bench

int main(int argc, char** argv) { return basin::bench::Main(argc, argv); }
