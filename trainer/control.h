// A rank's place in the control plane of its run: the coordinator learns that the rank lives and what it does, the rank learns
// at once when the run is over because another was lost.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "comm/communicator.h"
#include "coordinator/client.h"
#include "coordinator/server.h"
#include "trainer/config/config.h"
#include "trainer/coordinator_process.h"

namespace basin::trainer {

struct ControlPlan {
  const RunConfig& config;
  std::filesystem::path run_dir;  ///< coordinator.json is written there by rank 0: address and process of an embedded one
  int64_t step = 0;               ///< steps taken before, in a resumed run
  bool one_host = true;           ///< an embedded coordinator listens on the loopback, so it serves ranks of its own host alone
  bool watches = false;           ///< this rank shows the population
  bool apart = false;             ///< an embedded coordinator gets a process of its own, for it must outlive rank 0
};

/// Those that are left after a loss.
struct NewGroup {
  int64_t epoch = 0;           ///< of the membership: 2 after the first loss, then 3, ...
  std::vector<int> members{};  ///< ascending
  int64_t step = 0;            ///< agreed: whoever has taken fewer takes the missing ones alone
};

/// Lives between MPI_Init and MPI_Finalize. Methods are called by the thread of the rank.
class Control {
 public:
  /// Joins, and waits until all have. Collective over `comm`, which asks this object from now on whether a long wait still makes
  /// sense; `comm` must outlive it. Null with coordinator.address none, or embedded on several hosts (then with a line in the log; ConfigError where on_loss is continue).
  /// CommError where the coordinator does not answer.
  static std::unique_ptr<Control> Make(const ControlPlan& plan, comm::Communicator& comm);
  /// Not yet left: as failed, so the others know at once.
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  /// What this rank is doing now; `step`: taken so far. Under a microsecond, but for a change of phase. Checks as well.
  void Progress(coordinator::Phase phase, int64_t step, std::string operation);
  /// Once a second: the newest measurements are wanted.
  bool ReportDue() { return std::exchange(report_due_, false); }
  /// The population as it was at most a second before, on the rank that asked to know (ControlPlan::watches); else null.
  std::shared_ptr<const coordinator::Status> population() const { return population_; }
  /// They travel with the next beat.
  void Report(std::vector<coordinator::Measurement> measurements) { client_->Report(std::move(measurements)); }
  /// CommError once the run is over for this rank, with the reason: who was lost, where, after how long a silence.
  void Check() const;
  /// Whether the coordinator is rank 0's own (within it or a process beside it), whose files lie in the run directory.
  bool is_embedded() const { return is_embedded_; }
  /// For what ranks do through the coordinator.
  coordinator::Client& client() { return *client_; }
  /// Whether the run goes on without lost members.
  bool continues() const { return settings_.on_loss == coordinator::OnLoss::kContinue; }
  /// Whether the run goes on without this rank, should it end now: with on_loss continue, unless the run is over or the
  /// coordinator lives within this process.
  bool others_go_on() const;
  /// After a failed exchange, standing still with `step` steps taken: waits for the coordinator to say who is left and for them to
  /// agree on a step. Nothing when nobody was lost: then the failure was another. CommError when the run is over for this rank.
  std::optional<NewGroup> Regroup(int64_t step);
  /// Long waits of `comm` are checked from now on, those of the communicator before no more.
  void Watch(comm::Communicator& comm);
  /// Who was lost so far: [{"member", "step", "reason"}].
  base::Json Lost() const;
  /// Says goodbye. An embedded coordinator goes on until the object of rank 0 is destroyed.
  void Leave(coordinator::LeaveKind kind, const std::string& reason);

 private:
  Control(const ControlPlan& plan, comm::Communicator& comm);
  coordinator::Verdict verdict() const { return client_->directive().verdict; }
  void LookAround();
  std::string Host(const ControlPlan& plan, const std::string& token);  // its address

  const base::SystemClock clock_{};
  comm::Communicator* comm_;
  coordinator::Settings settings_;
  const bool is_embedded_;
  std::string address_;
  coordinator::Tls tls_;
  int64_t epoch_ = 1;  // of the group that this rank works in
  std::filesystem::path announced_;  // coordinator.json, on rank 0
  std::unique_ptr<coordinator::Server> server_;   // on rank 0, one of the two, if embedded
  std::unique_ptr<CoordinatorProcess> process_;
  std::unique_ptr<coordinator::Client> client_;  // destroyed first
  double rate_ = 0, rate_time_ = 0;              // steps a second, measured over about a second
  int64_t rate_step_ = 0;
  bool report_due_ = false;
  const bool watches_;
  std::shared_ptr<const coordinator::Status> population_;
};

}  // namespace basin::trainer
