// basin-coordinator: the coordinator as a process of its own. Links neither LibTorch nor CUDA, so it runs on a login
// node.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "coordinator/address.h"
#include "coordinator/metrics.h"
#include "coordinator/server.h"
#include "coordinator/version.h"
#include "launch/interrupt.h"

namespace basin::launch {
namespace {

constexpr const char* kAbout =
    "Knows who is a member of a run, notices who is lost, and decides with the others how to go on.\n"
    "One coordinator serves one run; members name it in their configuration (coordinator.address).\n\n"
    "  basin-coordinator --listen 127.0.0.1:7700 --run-dir runs/a\n"
    "  basin-coordinator --listen 0.0.0.0:7700 --run-dir runs/a --tls-cert c.pem --tls-key c.key --tls-ca ca.pem\n\n"
    "Writes coordinator.json (address, process; removed at its end) and coordinator.jsonl (an event a line) into the run directory. What "
    "is not\n"
    "given here (members, on_loss, heartbeat_s, timeout_s, token) is fixed by the first member that joins. It may be "
    "stopped\n"
    "and started again at the same address: the members come back and it learns from them where the run stands.\n\n"
    "Exit codes: 0 the run finished (--until-done), 2 configuration or usage, 3 a file, 4 the run ended by a loss "
    "(--until-done),\n"
    "130 interrupted (SIGINT, SIGTERM).";

struct Arguments {
  coordinator::ServerOptions server{.listen = "127.0.0.1:7700"};
  std::string run_dir, metrics;
  bool until_done = false;
  double join_within_s = 0;  // 0: however long it takes
  int announce_fd = -1;
};

void AddOptions(CLI::App& app, Arguments& arguments) {
  coordinator::ServerOptions& server = arguments.server;
  app.add_option("--listen", server.listen, "address to listen on; port 0: any free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--run-dir", arguments.run_dir,
                 "where coordinator.json and coordinator.jsonl are written, and members' weights and averages are kept; "
                 "none: nowhere")
      ->type_name("DIR");
  app.add_option("--metrics", arguments.metrics,
                 "address for Prometheus (http://HOST:PORT/metrics, plain text); none: not served")
      ->type_name("HOST:PORT");
  app.add_option("--members", server.rules.members, "size of the population")->check(CLI::Range(1, 4096));
  app.add_option_function<std::string>(
         "--on-loss", [&](const std::string& name) { server.rules.on_loss = coordinator::ParseOnLoss(name); },
         "abort: one lost, all end; continue: the survivors go on")
      ->type_name("abort|continue")
      ->check(CLI::IsMember({"abort", "continue"}));
  app.add_option("--heartbeat-s", server.rules.heartbeat_s, "seconds between two beats of a member")
      ->check(CLI::Range(0.01, 3600.0));
  app.add_option("--timeout-s", server.rules.timeout_s,
                 "silence after which a training member is lost; evaluation, checkpoint, finish: 3 times")
      ->check(CLI::Range(0.02, 86400.0));
  app.add_option("--tls-cert", server.tls.cert,
                 "certificate to show (PEM); with TLS every client must show one of the same authority")
      ->type_name("FILE");
  app.add_option("--tls-key", server.tls.key, "its private key (PEM)")->type_name("FILE");
  app.add_option("--tls-ca", server.tls.ca, "authority that must have signed the clients' certificates (PEM)")
      ->type_name("FILE");
  app.add_option("--token", server.rules.token,
                 "run token that members must present; better in BASIN_RUN_TOKEN: others can see a command line")
      ->envname("BASIN_RUN_TOKEN")
      ->type_name("TEXT");
  app.add_flag("--until-done", arguments.until_done, "end when all members have left, or the run was ended by a loss");
  app.add_option("--join-within-s", arguments.join_within_s,
                 "with --until-done: end with 4 when no member joins within this many seconds; 0: wait for ever")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--announce-fd", arguments.announce_fd,
                 "for programs that start this one: an open file descriptor that gets HOST:PORT and a line end once it listens")
      ->type_name("FD");
  app.add_option_function<std::string>(
         "--log-level", [](const std::string& level) { base::SetLogLevel(base::ParseLogLevel(level)); },
         "debug | info | warning | error | off (default info)")
      ->type_name("LEVEL");
  app.set_version_flag("--version",
                       [] { return Text("Basin ", BASIN_VERSION, "\ngRPC  ", coordinator::GrpcVersion()); });
}

/// The record of events: one JSON object a line, on the disk before the next one.
class EventFile {
 public:
  explicit EventFile(const std::filesystem::path& path) : path_(path), file_(path, std::ios::app) {
    if (!file_) throw DataError(Text("cannot write ", path.string(), "; is the folder writable, the disk full?"));
  }
  void Write(double unix_s, int64_t epoch, const coordinator::Action& action) {
    base::Json line{{"kind", "event"}, {"time", unix_s}, {"event", coordinator::Name(action.kind)}, {"epoch", epoch}};
    if (action.member >= 0) line["member"] = action.member;
    line["reason"] = action.text;
    file_ << line.dump(-1, ' ', false, base::Json::error_handler_t::replace) << std::endl;
    if (file_) return;
    file_.clear();
    // The run is worth more than its record.
    if (!std::exchange(warned_, true))
      base::LogWarning(Text("cannot write ", path_.string(), "; events from here on may be missing in it"));
  }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
  bool warned_ = false;
};

/// coordinator.json, where it can be reached: as long as it lives.
class AddressFile {
 public:
  AddressFile(const std::filesystem::path& folder, const base::Json& facts) : path_(folder / "coordinator.json") { base::WriteJson(path_, facts); }
  ~AddressFile() {
    std::error_code ignored;  // the folder may be gone
    std::filesystem::remove(path_, ignored);
  }
  AddressFile(const AddressFile&) = delete;
  AddressFile& operator=(const AddressFile&) = delete;

 private:
  std::filesystem::path path_;
};

bool NobodyJoined(const coordinator::Status& status) {
  return std::ranges::all_of(status.members, [](const coordinator::MemberStatus& member) { return member.member_for_s < 0; });
}

/// What --until-done makes of the run's state: an exit code, or nothing while it goes on.
class UntilDone {
 public:
  UntilDone(const base::Clock& clock, double join_within_s) : clock_(clock), join_within_s_(join_within_s) {}
  std::optional<int> Code(const coordinator::Status& status) {
    constexpr double kLastWordsSeconds = 10;  // so that every member still alive learns why the run ended
    if (status.outcome == "finished") return 0;
    if (status.outcome == "ended" && !ended_at_) ended_at_ = clock_.Seconds();
    if (ended_at_ && clock_.Seconds() - *ended_at_ > kLastWordsSeconds) return 4;
    if (join_within_s_ == 0 || clock_.Seconds() - started_ < join_within_s_ || !NobodyJoined(status)) return {};
    base::LogWarning(Text("no member joined within ", join_within_s_, " s"));
    return 4;
  }

 private:
  const base::Clock& clock_;
  const double join_within_s_;
  const double started_ = clock_.Seconds();
  std::optional<double> ended_at_;
};

/// Until a signal comes or, if wanted, the run is over. Returns the exit code.
int Serve(const coordinator::Server& server, const Arguments& arguments, const base::Clock& clock, const std::atomic<bool>& interrupted) {
  UntilDone until_done(clock, arguments.join_within_s);
  while (!interrupted) {
    const std::optional<int> code = arguments.until_done ? until_done.Code(server.status()) : std::nullopt;
    if (code) return *code;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return 130;
}

/// To the program that started this one.
void Announce(int descriptor, const std::string& address) {
  const std::string line = address + "\n";
  if (write(descriptor, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw ConfigError(Text("--announce-fd ", descriptor, " cannot be written; give the number of an open file descriptor"));
  close(descriptor);
}

int Run(Arguments arguments) {
  if (arguments.server.rules.heartbeat_s && arguments.server.rules.timeout_s &&
      *arguments.server.rules.heartbeat_s >= *arguments.server.rules.timeout_s)
    throw ConfigError("--heartbeat-s must be smaller than --timeout-s");
  const std::atomic<bool>& interrupted = WatchInterrupts();
  const std::filesystem::path folder = arguments.run_dir;
  std::unique_ptr<EventFile> events;
  if (!arguments.run_dir.empty()) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) throw DataError(Text("cannot create ", folder.string(), ": ", failure.message()));
    events = std::make_unique<EventFile>(folder / "coordinator.jsonl");
  }
  arguments.server.folder = folder;
  arguments.server.reach = coordinator::Reach::kNetwork;  // --listen is the question for it
  arguments.server.on_event = [&](double unix_s, int64_t epoch, const coordinator::Action& action) {
    base::LogInfo(action.text);
    if (events) events->Write(unix_s, epoch, action);
  };
  const base::SystemClock clock;
  const coordinator::Server server(arguments.server, clock);
  std::unique_ptr<coordinator::MetricsEndpoint> metrics;
  if (!arguments.metrics.empty()) {
    metrics = std::make_unique<coordinator::MetricsEndpoint>(arguments.metrics, [&server] { return server.status(); });
    base::LogInfo(Text("metrics on http://", metrics->address(), "/metrics"));
  }
  std::optional<AddressFile> address_file;
  if (events) {
    base::Json facts{{"address", server.address()}, {"pid", getpid()}, {"tls", !arguments.server.tls.empty()}};
    if (metrics) facts["metrics"] = metrics->address();
    address_file.emplace(folder, facts);
  }
  base::LogInfo(Text("listening on ", server.address(), arguments.server.tls.empty() ? " (plain text)" : " (TLS)"));
  if (arguments.announce_fd >= 0) Announce(arguments.announce_fd, server.address());
  const int code = Serve(server, arguments, clock, interrupted);
  if (code == 130) base::LogInfo("interrupted; the members look for a coordinator at this address for a while");
  return code;
}

}  // namespace
}  // namespace basin::launch

int main(int argc, char** argv) {
  basin::base::KeepFreedMemory();  // streams of weights free and ask for the same buffers all along
  try {
    basin::launch::Arguments arguments;
    CLI::App app(basin::launch::kAbout, "basin-coordinator");
    basin::launch::AddOptions(app, arguments);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& usage) {
      return app.exit(usage) == 0 ? 0 : 2;
    }
    return basin::launch::Run(std::move(arguments));
  } catch (const basin::ConfigError& failure) {
    std::cerr << "configuration: " << failure.what() << std::endl;
    return 2;
  } catch (const basin::DataError& failure) {
    std::cerr << "data: " << failure.what() << std::endl;
    return 3;
  } catch (const std::exception& failure) {
    std::cerr << "error: " << failure.what() << std::endl;
    return 1;
  }
}
