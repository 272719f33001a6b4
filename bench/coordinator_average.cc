// What it costs to average at the coordinator: all members stream their weights to it over the loopback at once, beside
// the same bytes through bare TCP sockets; then the average, and the memory of the coordinator's process. It is a
// process of its own here, as basin-coordinator is. The receiver of the bare sockets drops what it reads; a second one
// hashes, writes and syncs it, as the coordinator does.
//   bench_coordinator_average [--members 8] [--megabytes 400] [--folder FOLDER] [--rounds 1]
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "bench/measure.h"
#include "coordinator/client.h"
#include "coordinator/server.h"

namespace basin::bench {
namespace {

namespace fs = std::filesystem;
using Seconds = std::chrono::duration<double>;
constexpr size_t kPiece = 512 << 10;

/// A field of /proc/PID/status in MB.
double MegabytesOf(pid_t process, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) / 1024;
  }
  return 0;
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

double TimeOf(const std::function<void()>& work) {
  const double start = Now();
  work();
  return Now() - start;
}

/// work(k) for k < count, each on a thread.
void AtOnce(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int k = 0; k < count; ++k) threads.emplace_back([&, k] { work(k); });
  for (std::thread& thread : threads) thread.join();
}

/// The receiving end of bare sockets, in a child process too: one thread a connection, until all have ended.
class Sink {
 public:
  /// Drops what comes, or keeps it in files of `folder`.
  explicit Sink(int connections, const fs::path& folder = {}) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    to_.sin_family = AF_INET;
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof to_;
    BASIN_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&to_), size) == 0 && ::listen(listener_, 64) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&to_), &size);
    process_ = ::fork();
    BASIN_CHECK(process_ >= 0);
    if (process_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    AtOnce(connections, [&](int k) {
      const int from = ::accept(listener_, nullptr, nullptr);
      std::vector<std::byte> buffer(kPiece);
      std::unique_ptr<base::AtomicFile> file;
      if (!folder.empty()) file = std::make_unique<base::AtomicFile>(folder / Text("bare", k));
      for (ssize_t size; (size = ::recv(from, buffer.data(), kPiece, 0)) > 0;) {
        if (file != nullptr) file->Write(std::span(buffer).first(static_cast<size_t>(size)));
      }
      if (file != nullptr) file->Commit();
      BASIN_CHECK(::send(from, "x", 1, MSG_NOSIGNAL) == 1);  // all of it is here
      ::close(from);
    });
    ::_exit(0);
  }
  ~Sink() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    ::close(listener_);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void Send(const fs::path& path) const {
    const base::MappedFile file(path);
    const int to = ::socket(AF_INET, SOCK_STREAM, 0);
    BASIN_CHECK(::connect(to, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) == 0);
    for (auto rest = file.bytes(); !rest.empty();) {
      const ssize_t sent = ::send(to, rest.data(), std::min(rest.size(), kPiece), MSG_NOSIGNAL);
      BASIN_CHECK(sent > 0);
      rest = rest.subspan(static_cast<size_t>(sent));
    }
    ::shutdown(to, SHUT_WR);
    char answer = 0;
    BASIN_CHECK(::recv(to, &answer, 1, 0) == 1);
    ::close(to);
  }

 private:
  const int listener_;
  sockaddr_in to_{};
  pid_t process_ = -1;
};

double BareSeconds(const std::vector<fs::path>& files, const fs::path& keep_in) {
  const auto count = static_cast<int>(files.size());
  const Sink sink(count, keep_in);
  return TimeOf([&] { AtOnce(count, [&](int k) { sink.Send(files[k]); }); });
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
  const fs::path folder = options.Get("--folder", temporary.path().string());
  std::vector<fs::path> files;
  for (int k = 0; k < members; ++k) WriteMember(files.emplace_back(folder / Text("sent", k)), k, megabytes);
  const double gigabytes = static_cast<double>(members * megabytes) / 1000;
  for (int round = 0; round < std::stoi(options.Get("--rounds", "1")); ++round) {
    const double bare_s = BareSeconds(files, {});
    std::printf("bare sockets:  %6.2f s  %5.2f GB/s\n", bare_s, gigabytes / bare_s);
    const double kept_s = BareSeconds(files, folder);
    std::printf("bare, to disk: %6.2f s  %5.2f GB/s\n", kept_s, gigabytes / kept_s);
    std::fflush(stdout);
    for (int k = 0; k < members; ++k) fs::remove(folder / Text("bare", k));
    // Everything with gRPC in this process happens in a child, so that the next round may fork again.
    fs::create_directories(folder / "coordinator");
    const Coordinator coordinator(folder / "coordinator");
    const pid_t child = ::fork();
    BASIN_CHECK(child >= 0);
    if (child == 0) {
      const PeakAnon anon(coordinator.process());
      std::vector<std::unique_ptr<coordinator::Client>> clients(static_cast<size_t>(members));
      AtOnce(members, [&](int k) {
        clients[k] = std::make_unique<coordinator::Client>(
            coordinator::ClientOptions{.address = coordinator.address(),
                                       .member = k,
                                       .token = "bench",
                                       .settings = {.members = members, .timeout_s = 60}});
        clients[k]->Progress({.phase = coordinator::Phase::kFinish});
      });
      const double sent_s =
          TimeOf([&] { AtOnce(members, [&](int k) { clients[k]->SendWeights(files[k], Seconds(600)); }); });
      std::printf(
          "to coordinator:%6.2f s  %5.2f GB/s  %.0f %% of the bare sockets, %.0f %% of those to disk; RssAnon at most "
          "%.0f MB\n",
          sent_s, gigabytes / sent_s, 100 * bare_s / sent_s, 100 * kept_s / sent_s, anon.megabytes());
      coordinator::AverageJob job{.name = "average.safetensors"};
      for (int k = 0; k < members; ++k) job.members.push_back(k);
      const double average_s = TimeOf([&] { clients[0]->Average(job, Seconds(600)); });
      std::printf(
          "average:       %6.2f s  %5.2f GB/s of inputs; RssAnon at most %.0f MB, VmHWM %.0f MB (with mapped files)\n",
          average_s, gigabytes / average_s, anon.megabytes(), MegabytesOf(coordinator.process(), "VmHWM"));
      const double fetched_s = TimeOf([&] { clients[0]->FetchWeights(job.name, folder / "fetched", Seconds(600)); });
      std::printf("fetch of it:   %6.2f s  %5.2f GB/s\n", fetched_s, static_cast<double>(megabytes) / 1000 / fetched_s);
      std::fflush(stdout);
      for (const auto& client : clients) client->Leave(coordinator::LeaveKind::kDone, "bench");
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    BASIN_CHECK(status == 0, "a client failed; its output says why");
    fs::remove_all(folder / "coordinator");
    fs::remove(folder / "fetched");
  }
  for (const fs::path& file : files) fs::remove(file);
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
