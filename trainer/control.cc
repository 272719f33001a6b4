#include "trainer/control.h"

#include <unistd.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "trainer/agreement.h"

namespace basin::trainer {
namespace {

using Seconds = std::chrono::duration<double>;

coordinator::Settings SettingsOf(const RunConfig& config) {
  return {.members = config.population.members,
          .heartbeat_s = Seconds(config.coordinator.heartbeat).count(),
          .timeout_s = Seconds(config.coordinator.timeout).count()};
}

/// The secret of this run: what the coordinator was told as well, else 128 random bits.
std::string ChooseToken() {
  if (const char* given = std::getenv("BASIN_RUN_TOKEN")) return given;
  std::random_device device;
  std::ostringstream token;
  for (int word = 0; word < 4; ++word) token << std::hex << device() << '-';
  return token.str();
}

bool IsEmbedded(const RunConfig& config) { return config.coordinator.address == "embedded"; }

}  // namespace

std::unique_ptr<Control> Control::Make(const ControlPlan& plan, comm::Communicator& comm) {
  if (plan.config.coordinator.address == "none") return nullptr;
  if (IsEmbedded(plan.config) && !plan.one_host) {
    if (comm.rank() == 0) {
      base::LogInfo("the ranks are on several hosts, where an embedded coordinator does not reach: lost ranks are noticed after "
                    "comm.timeout_s. For more, start basin-coordinator and set coordinator.address: HOST:PORT");
    }
    return nullptr;
  }
  return std::unique_ptr<Control>(new Control(plan, comm));
}

Control::Control(const ControlPlan& plan, comm::Communicator& comm) : comm_(comm) {
  const RunConfig& config = plan.config;
  std::string address = config.coordinator.address, token;
  OnAllRanks(comm, [&] {
    if (comm.rank() != 0) return;
    token = ChooseToken();
    if (IsEmbedded(config)) Host(plan);
    if (server_) address = server_->address();
  });
  BroadcastText(comm, address, /*root=*/0);
  BroadcastText(comm, token, /*root=*/0);
  OnAllRanks(comm, [&] {
    client_ = std::make_unique<coordinator::Client>(
        coordinator::ClientOptions{.address = address,
                                   .tls = config.coordinator.tls.value_or(coordinator::Tls{}),
                                   .member = comm.rank(),
                                   .token = token,
                                   .settings = SettingsOf(config),
                                   .step = plan.step,
                                   .join_s = Seconds(comm.timeout()).count() / 2});
    client_->AwaitGroup(comm.timeout() / 2);
  });
  rate_step_ = plan.step;
  rate_time_ = clock_.Seconds();
  comm_.SetWatch([this] { Check(); });
}

Control::~Control() {
  comm_.SetWatch({});
  client_.reset();
  if (!announced_.empty()) {
    std::error_code ignored;  // the run directory may be gone
    std::filesystem::remove(announced_, ignored);
  }
}

void Control::Host(const ControlPlan& plan) {
  server_ = std::make_unique<coordinator::Server>(
      coordinator::ServerOptions{.on_event = [](double, int64_t epoch, const coordinator::Action& action) {
        if (action.kind == coordinator::Action::Kind::kLost) base::LogWarning(Text("epoch ", epoch, ": ", action.text));
      }},
      clock_);
  announced_ = plan.run_dir / "coordinator.json";
  base::WriteJson(announced_, {{"address", server_->address()}, {"pid", getpid()}});
}

void Control::Progress(coordinator::Phase phase, int64_t step, std::string operation) {
  const double now = clock_.Seconds();
  if (now - rate_time_ >= 1) {
    rate_ = static_cast<double>(step - rate_step_) / (now - rate_time_);
    rate_step_ = step;
    rate_time_ = now;
  }
  client_->Progress({.phase = phase, .step = step, .operation = std::move(operation), .steps_per_second = rate_});
  Check();
}

void Control::Check() const {
  const coordinator::Directive now = client_->directive();
  if (now.verdict != coordinator::Verdict::kEnd && now.verdict != coordinator::Verdict::kPutOut) return;
  throw CommError(Text(now.verdict == coordinator::Verdict::kEnd ? "the run is over: " : "the run has put this rank out: ", now.reason));
}

void Control::Leave(coordinator::LeaveKind kind, const std::string& reason) { client_->Leave(kind, reason); }

}  // namespace basin::trainer
