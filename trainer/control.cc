#include "trainer/control.h"

#include <unistd.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "coordinator/membership.h"
#include "trainer/agreement.h"

namespace basin::trainer {
namespace {

using Seconds = std::chrono::duration<double>;

coordinator::Settings SettingsOf(const RunConfig& config) {
  return {.members = config.population.members,
          .on_loss = config.coordinator.on_loss,
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
    if (plan.config.coordinator.on_loss == coordinator::OnLoss::kContinue) {
      throw ConfigError("coordinator.on_loss is continue, but the ranks are on several hosts, where an embedded coordinator does not "
                        "reach; start basin-coordinator and set coordinator.address: HOST:PORT");
    }
    if (comm.rank() == 0) {
      base::LogInfo("the ranks are on several hosts, where an embedded coordinator does not reach: lost ranks are noticed after "
                    "comm.timeout_s. For more, start basin-coordinator and set coordinator.address: HOST:PORT");
    }
    return nullptr;
  }
  return std::unique_ptr<Control>(new Control(plan, comm));
}

Control::Control(const ControlPlan& plan, comm::Communicator& comm)
    : comm_(&comm),
      settings_(SettingsOf(plan.config)),
      is_embedded_(IsEmbedded(plan.config)),
      tls_(plan.config.coordinator.tls.value_or(coordinator::Tls{})),
      watches_(plan.watches) {
  const RunConfig& config = plan.config;
  std::string address = config.coordinator.address, token;
  OnAllRanks(comm, [&] {
    if (comm.rank() != 0) return;
    token = ChooseToken();
    if (IsEmbedded(config)) address = Host(plan, token);
  });
  BroadcastText(comm, address, /*root=*/0);
  BroadcastText(comm, token, /*root=*/0);
  OnAllRanks(comm, [&] {
    client_ = std::make_unique<coordinator::Client>(
        coordinator::ClientOptions{.address = address,
                                   .tls = tls_,
                                   .member = comm.rank(),
                                   .token = token,
                                   .settings = settings_,
                                   .step = plan.step,
                                   .join_s = Seconds(comm.timeout()).count() / 2});
    client_->AwaitGroup(comm.timeout() / 2);
  });
  rate_step_ = plan.step;
  rate_time_ = clock_.Seconds();
  address_ = address;
  Watch(comm);
}

Control::~Control() {
  comm_->SetWatch({});
  client_.reset();
  if (!announced_.empty()) {
    std::error_code ignored;  // the run directory may be gone
    std::filesystem::remove(announced_, ignored);
  }
}

std::string Control::Host(const ControlPlan& plan, const std::string& token) {
  announced_ = plan.run_dir / "coordinator.json";
  if (plan.apart) {
    process_ = std::make_unique<CoordinatorProcess>(plan.run_dir, token);  // writes coordinator.json itself
    return process_->address();
  }
  server_ = std::make_unique<coordinator::Server>(
      coordinator::ServerOptions{.folder = plan.run_dir,
                                 .on_event = [](double, int64_t epoch, const coordinator::Action& action) {
        if (action.kind == coordinator::Action::Kind::kLost) base::LogWarning(Text("epoch ", epoch, ": ", action.text));
      }},
      clock_);
  base::WriteJson(announced_, {{"address", server_->address()}, {"pid", getpid()}});
  return server_->address();
}

void Control::Progress(coordinator::Phase phase, int64_t step, std::string operation) {
  const double now = clock_.Seconds();
  if (now - rate_time_ >= 1) {
    rate_ = static_cast<double>(step - rate_step_) / (now - rate_time_);
    rate_step_ = step;
    rate_time_ = now;
    report_due_ = true;
    if (watches_) LookAround();
  }
  client_->Progress({.phase = phase, .step = step, .operation = std::move(operation), .steps_per_second = rate_});
  Check();
}

void Control::LookAround() {
  constexpr Seconds kPatience(1);  // a picture is not worth more
  try {
    population_ = std::make_shared<coordinator::Status>(server_ ? server_->status() : coordinator::QueryStatus(address_, tls_, kPatience));
  } catch (const Error& failure) {
    population_.reset();
    base::LogDebug(failure.what());
  }
}

void Control::Check() const {
  using coordinator::Verdict;
  const coordinator::Directive now = client_->directive();
  if (now.verdict == Verdict::kEnd) throw CommError("the run is over: " + now.reason);
  if (now.verdict == Verdict::kPutOut) throw CommError("the run has put this rank out: " + now.reason);
  if (now.epoch > epoch_) throw CommError("the group has changed: " + now.reason);
}

bool Control::others_go_on() const { return continues() && !server_ && verdict() != coordinator::Verdict::kEnd; }

std::optional<NewGroup> Control::Regroup(int64_t step) {
  // The failure may be known here before the coordinator has counted the silence.
  const coordinator::Time silence = std::max(coordinator::SilenceAllowed(settings_, coordinator::Phase::kTraining),
                                             coordinator::SilenceAllowed(settings_, coordinator::Phase::kFinish));
  const coordinator::Directive now = client_->AwaitChange(epoch_, Seconds(coordinator::ToSeconds(silence) + 2 * settings_.heartbeat_s));
  if (IsOver(now.verdict)) Check();
  if (now.epoch == epoch_) return std::nullopt;
  const coordinator::Directive agreed = client_->Agree(step, Seconds(coordinator::ToSeconds(coordinator::RegroupAllowed(settings_)) + 5));
  if (IsOver(agreed.verdict)) Check();
  epoch_ = agreed.epoch;
  return NewGroup{.epoch = agreed.epoch, .members = agreed.members, .step = agreed.step};
}

void Control::Watch(comm::Communicator& comm) {
  comm_ = &comm;
  comm.SetWatch([this] { Check(); });
}

base::Json Control::Lost() const {
  base::Json lost = base::Json::array();
  for (const auto& member : coordinator::QueryStatus(address_, tls_, Seconds(10)).members) {
    if (member.state == "lost") lost.push_back({{"member", member.id}, {"step", member.step}, {"reason", member.note}});
  }
  return lost;
}

void Control::Leave(coordinator::LeaveKind kind, const std::string& reason) { client_->Leave(kind, reason); }

}  // namespace basin::trainer
