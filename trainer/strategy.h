// What members do to each other's weights. A strategy sees one member and a communicator, after a step and after an
// epoch; never a backend, a thread or a file.
#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/counting.h"
#include "comm/link.h"
#include "models/flat_params.h"
#include "trainer/strategy_options.h"

namespace basin::trainer {

/// Mends a member that has just become an average (papa-all, papa-2). Runs on this member's own training data.
class Renormaliser {
 public:
  virtual ~Renormaliser() = default;
  /// Means, then standard deviations, of all hooked layers' units: float64 [2 U] on the CPU.
  virtual torch::Tensor MeasureActivations() = 0;
  /// Brings the member's activations to `target` (as returned by MeasureActivations, averaged over the parents).
  virtual void Repair(const torch::Tensor& target) = 0;
  /// Recomputes batch-norm statistics.
  virtual void Reset() = 0;
};

/// Permutes a member's units before it is averaged (strategy.align).
class Aligner {
 public:
  virtual ~Aligner() = default;
  /// Brings the member's weights [P] close to `reference` [P] by weight matching; moments and statistics move with their units. The
  /// function stays the same.
  virtual void AlignTo(const torch::Tensor& reference) = 0;
};

/// What a strategy may touch of its member. Borrowed for the call.
struct MemberState {
  int64_t id = 0;
  torch::Tensor& weights;                        ///< [P] float32, the model's parameters are views of it
  std::vector<torch::Tensor>& moments;           ///< the optimiser's [P] vectors: SGD momentum, or Adam's two; may be empty
  std::vector<torch::Tensor>& statistics;        ///< floating buffers (running mean and variance), any shape
  const std::vector<models::ParameterSlot>& slots;
  Renormaliser* renormaliser = nullptr;          ///< may be null in tests of strategies that do not renormalise
  Aligner* aligner = nullptr;                    ///< may be null in tests of strategies that do not align
};

/// The step that has just been taken.
struct StepInfo {
  int64_t step = 0;  ///< from 0
  double lr = 0;     ///< of that step
  double train_seconds = 0;  ///< of this member in steps so far, exchanges not included
};
/// The epoch that has just ended.
struct EpochInfo {
  int64_t epoch = 0;  ///< from 0
};

/// All that a strategy knows of the run in advance.
struct RunShape {
  uint64_t seed = 1;
  int members = 1;
  int64_t total_steps = 0;
  int64_t steps_per_epoch = 1;
  double base_lr = 0;                        ///< the optimiser's lr; 0: couplings to lr are 1
  std::function<double(int64_t)> lr_at;      ///< lr of a step
  std::vector<models::ParameterSlot> slots;
  int64_t num_parameters = 0;                ///< P
  int64_t num_statistics = 0;                ///< elements of all MemberState::statistics
  int num_moments = 0;
  int64_t num_activation_statistics = 0;     ///< 2 U, see Renormaliser
  int64_t total_epochs() const { return total_steps / steps_per_epoch; }  ///< complete ones
};

/// One call of the communicator in an exchange, for what it takes on a link (trainer/plan/plan.h).
struct ExpectedCall {
  enum class Kind {
    kAllReduce,  ///< AllReduceSum of a vector of `bytes`
    kAllToAll,   ///< every rank sends `bytes`, in equal parts to its peers
    kRounds,     ///< one of `courses`, all equally likely
  } kind = Kind::kAllReduce;
  double bytes = 0;
  std::vector<std::vector<comm::Round>> courses{};
};

/// What a run will send, by formula, before it starts: means over the ranks.
struct Forecast {
  double bytes_per_rank = 0;
  double bytes_stddev = 0;  ///< of bytes_per_rank, from drawing the coordinates; 0: exact
  double messages_per_rank = 0;
  int64_t exchanges = 0;
  std::vector<ExpectedCall> calls{};  ///< of a mean exchange
  double drawn_values = 0;  ///< that a rank takes from drawn places and puts back there in a mean exchange; 0: it exchanges all of a vector
  double memory_bytes = 0;            ///< that a rank holds for it beside its member: state and buffers
  bool is_known = true;  ///< false: the clock decides how often there is an exchange (strategy.budget), and these are the most
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  /// Called once before the first step (of a new or a resumed run, then before State is restored) with the member's weights as
  /// they start. Start-up: the communicator is not the ledger's.
  virtual void Begin(MemberState&, comm::Communicator&) {}
  virtual void AfterStep(const StepInfo&, MemberState&, comm::CountingCommunicator&) {}
  virtual void AfterEpoch(const EpochInfo&, MemberState&, comm::CountingCommunicator&) {}
  /// For the backends on the CPU (comm/communicator.h says how an AllReduceSum is sent).
  virtual Forecast Predict() const = 0;
  /// Tensors that a resumed run needs besides weights and moments (e.g. the outer momentum), by name; stable references.
  virtual std::vector<std::pair<std::string, torch::Tensor*>> State() { return {}; }
  /// The same of what was sent and not applied yet: other names and sizes after every step. It is lost with a member that is lost.
  virtual std::vector<std::pair<std::string, torch::Tensor*>> InFlight() { return {}; }
  /// A run goes on from a checkpoint with so many steps taken: makes InFlight what it was then, its values still to be read in. Called
  /// after Begin, on every rank.
  virtual void Resume(int64_t /*steps*/, const comm::Communicator&) {}
};

/// The table of strategies. A budget in bytes must have been fitted (trainer/plan/budget.h).
std::unique_ptr<Strategy> MakeStrategy(const StrategyOptions& options, const RunShape& shape);
std::vector<std::string> StrategyNames();

}  // namespace basin::trainer
