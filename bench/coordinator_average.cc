// What it costs to average at the coordinator: all members stream their weights to it over the loopback at once; then
// the average, its way back, and the memory of the coordinator's process. It is a process of its own here, as
// basin-coordinator is. Beside it, in each round, the same files through bare sockets (bench/bare_sockets.h) that are
// dropped, checked, and kept.
//
// Seconds depend on what else runs on the machine; so the last lines are medians of ratios within a round, and of the
// time on the processor, of both ends together, a byte.
//   bench_coordinator_average [--members 8] [--megabytes 400] [--folder FOLDER] [--rounds 1]
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "bench/bare_sockets.h"
#include "bench/measure.h"
#include "coordinator/client.h"
#include "coordinator/server.h"

namespace basin::bench {
namespace {

namespace fs = std::filesystem;
using Seconds = std::chrono::duration<double>;

/// A field of /proc/PID/status in MB.
double MegabytesOf(pid_t process, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) / 1024;
  }
  return 0;
}

/// Of all threads of a process, in seconds.
double ProcessorSeconds(pid_t process) {
  clockid_t clock{};
  timespec time{};
  BASIN_CHECK(::clock_getcpuclockid(process, &clock) == 0 && ::clock_gettime(clock, &time) == 0);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// How long something took, and the time that this process and the other end spent on the processor.
struct Cost {
  double seconds = 0, processor = 0;
};
Cost CostOf(pid_t other, const std::function<void()>& work) {
  const auto spent = [other] { return ProcessorSeconds(::getpid()) + ProcessorSeconds(other); };
  const double processor = spent(), start = Now();
  work();
  return {Now() - start, spent() - processor};
}

/// The coordinator in a child process. The fork comes before gRPC starts.
class Coordinator {
 public:
  explicit Coordinator(const fs::path& folder) {
    std::array<int, 2> address{};
    BASIN_CHECK(::pipe(address.data()) == 0);
    process_ = ::fork();
    BASIN_CHECK(process_ >= 0);
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const base::SystemClock clock;
      const coordinator::Server server({.folder = folder}, clock);
      const std::string& text = server.address();
      BASIN_CHECK(::write(address[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
      ::close(address[1]);
      for (;;) ::pause();
    }
    ::close(address[1]);
    char text[128];
    const ssize_t size = ::read(address[0], text, sizeof text);
    BASIN_CHECK(size > 0, "the coordinator did not start");
    ::close(address[0]);
    address_ = std::string(text, static_cast<size_t>(size));
  }
  ~Coordinator() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;
  const std::string& address() const { return address_; }
  pid_t process() const { return process_; }

 private:
  pid_t process_ = -1;
  std::string address_;
};

/// Samples the coordinator's anonymous memory while it lives.
class PeakAnon {
 public:
  explicit PeakAnon(pid_t process)
      : thread_([this, process] {
          while (!stop_) {
            peak_ = std::max(peak_.load(), MegabytesOf(process, "RssAnon"));
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
          }
        }) {}
  ~PeakAnon() {
    stop_ = true;
    thread_.join();
  }
  double megabytes() const { return peak_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<double> peak_ = 0;
  std::thread thread_;
};

/// What all rounds share.
struct Trial {
  std::vector<fs::path> files;
  fs::path folder;
  double gigabytes = 0;  // of all files
  int members() const { return static_cast<int>(files.size()); }
};

/// Of one round. Trivially copyable: a child process hands it over through a pipe.
struct Round {
  std::array<Cost, 3> bare{};  // by Care
  Cost sent{};
  double average_s = 0, fetched_s = 0;
  double sending_mb = 0, anon_mb = 0, peak_mb = 0;  // RssAnon while sending and at all; VmHWM
};

Cost SendBare(const Trial& trial, Care care) {
  const BareSockets sockets(trial.members(), care, trial.folder);
  const Cost cost = CostOf(sockets.process(), [&] { AtOnce(trial.members(), [&](int k) { sockets.Send(trial.files[k]); }); });
  for (int k = 0; k < trial.members(); ++k) fs::remove(trial.folder / Text("bare", k));
  return cost;
}

void SendToCoordinator(const Trial& trial, const Coordinator& coordinator, Round& round) {
  const PeakAnon anon(coordinator.process());
  std::vector<std::unique_ptr<coordinator::Client>> clients(trial.files.size());
  AtOnce(trial.members(), [&](int k) {
    clients[k] = std::make_unique<coordinator::Client>(
        coordinator::ClientOptions{.address = coordinator.address(),
                                   .member = k,
                                   .token = "bench",
                                   .settings = {.members = trial.members(), .timeout_s = 60}});
    clients[k]->Progress({.phase = coordinator::Phase::kFinish});
  });
  round.sent = CostOf(coordinator.process(), [&] {
    AtOnce(trial.members(), [&](int k) { clients[k]->SendWeights(trial.files[k], Seconds(600)); });
  });
  round.sending_mb = anon.megabytes();
  coordinator::AverageJob job{.name = "average.safetensors"};
  for (int k = 0; k < trial.members(); ++k) job.members.push_back(k);
  round.average_s = CostOf(coordinator.process(), [&] { clients[0]->Average(job, Seconds(600)); }).seconds;
  round.fetched_s = CostOf(coordinator.process(), [&] {
                      clients[0]->FetchWeights(job.name, trial.folder / "fetched", Seconds(600));
                    }).seconds;
  round.anon_mb = anon.megabytes();
  round.peak_mb = MegabytesOf(coordinator.process(), "VmHWM");
  for (const auto& client : clients) client->Leave(coordinator::LeaveKind::kDone, "bench");
}

Round Play(const Trial& trial) {
  Round round;
  for (const Care care : {Care::kDropped, Care::kChecked, Care::kKept})
    round.bare[static_cast<size_t>(care)] = SendBare(trial, care);
  const fs::path folder = trial.folder / "coordinator";
  fs::create_directories(folder);
  // Everything with gRPC in this process happens in a child, so that the next round may fork again.
  const Coordinator coordinator(folder);
  std::array<int, 2> result{};
  BASIN_CHECK(::pipe(result.data()) == 0);
  const pid_t child = ::fork();
  BASIN_CHECK(child >= 0);
  if (child == 0) {
    SendToCoordinator(trial, coordinator, round);
    BASIN_CHECK(::write(result[1], &round, sizeof round) == sizeof round);
    ::_exit(0);
  }
  ::close(result[1]);
  BASIN_CHECK(::read(result[0], &round, sizeof round) == sizeof round, "a client failed; its output says why");
  ::close(result[0]);
  ::waitpid(child, nullptr, 0);
  fs::remove_all(folder);
  fs::remove(trial.folder / "fetched");
  return round;
}

constexpr std::array kNames{"bare, dropped", "bare, checked", "bare, kept"};

void Print(const Trial& trial, const Round& round) {
  const auto line = [&](const char* name, const Cost& cost) {
    std::printf("%-16s %6.2f s  %5.2f GB/s  %5.2f ns of processor a byte\n", name, cost.seconds,
                trial.gigabytes / cost.seconds, cost.processor / trial.gigabytes);
  };
  for (size_t care = 0; care < kNames.size(); ++care) line(kNames[care], round.bare[care]);
  line("to coordinator", round.sent);
  std::printf("average %.2f s (%.2f GB/s of inputs), fetch of it %.2f s; RssAnon at most %.0f MB while sending, %.0f MB "
              "at all; VmHWM %.0f MB (with mapped files)\n\n",
              round.average_s, trial.gigabytes / round.average_s, round.fetched_s, round.sending_mb, round.anon_mb,
              round.peak_mb);
  std::fflush(stdout);
}

double MedianOf(const std::vector<Round>& rounds, const std::function<double(const Round&)>& value) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(value(round));
  return Median(std::move(values));
}

void PrintMedians(const Trial& trial, const std::vector<Round>& rounds) {
  std::printf("medians of %zu rounds, %d x %.0f MB:\n", rounds.size(), trial.members(),
              1000 * trial.gigabytes / trial.members());
  const auto line = [&](const char* name, const std::function<Cost(const Round&)>& cost) {
    std::printf("%-16s %5.2f GB/s  %5.2f ns of processor a byte", name,
                MedianOf(rounds, [&](const Round& round) { return trial.gigabytes / cost(round).seconds; }),
                MedianOf(rounds, [&](const Round& round) { return cost(round).processor / trial.gigabytes; }));
  };
  for (size_t care = 0; care < kNames.size(); ++care) {
    line(kNames[care], [&](const Round& round) { return round.bare[care]; });
    std::printf("; the coordinator has %.0f %% of its speed, %.0f %% by time on the processor\n",
                100 * MedianOf(rounds, [&](const Round& r) { return r.bare[care].seconds / r.sent.seconds; }),
                100 * MedianOf(rounds, [&](const Round& r) { return r.bare[care].processor / r.sent.processor; }));
  }
  line("to coordinator", [](const Round& round) { return round.sent; });
  double anon_mb = 0;
  for (const Round& round : rounds) anon_mb = std::max(anon_mb, round.anon_mb);
  std::printf("; average %.2f GB/s of inputs; RssAnon at most %.0f MB\n",
              MedianOf(rounds, [&](const Round& round) { return trial.gigabytes / round.average_s; }), anon_mb);
}

/// A network of ten equal tensors.
void WriteMember(const fs::path& path, int member, int64_t megabytes) {
  const int64_t count = megabytes * 100'000 / 4;
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = static_cast<uint32_t>(member) + 1;
  for (float& x : values) x = static_cast<float>(state = state * 1664525U + 1013904223U) / 4e9F;
  std::vector<base::TensorView> tensors;
  for (int k = 0; k < 10; ++k)
    tensors.push_back({Text("layer", k), base::DType::kF32, {count}, std::as_bytes(std::span(values))});
  base::WriteSafetensors(path, tensors);
}

int Main(int argc, char** argv) {
  const Options options(argc, argv, {"--members", "--megabytes", "--folder", "--rounds"});
  const int members = std::stoi(options.Get("--members", "8"));
  const int64_t megabytes = std::stoll(options.Get("--megabytes", "400"));
  const base::TemporaryFolder temporary;
  Trial trial{.files = {},
              .folder = options.Get("--folder", temporary.path().string()),
              .gigabytes = static_cast<double>(members * megabytes) / 1000};
  for (int k = 0; k < members; ++k) WriteMember(trial.files.emplace_back(trial.folder / Text("sent", k)), k, megabytes);
  std::vector<Round> rounds;
  for (int round = 0; round < std::stoi(options.Get("--rounds", "1")); ++round)
    Print(trial, rounds.emplace_back(Play(trial)));
  PrintMedians(trial, rounds);
  for (const fs::path& file : trial.files) fs::remove(file);
  return 0;
}

}  // namespace
}  // namespace basin::bench

int main(int argc, char** argv) {
  basin::base::KeepFreedMemory();
  try {
    return basin::bench::Main(argc, argv);
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << std::endl;
    return 1;
  }
}
