// One options struct for each strategy: the keys of its `strategy:` section, with their defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "comm/payload.h"

namespace basin::trainer {

/// How the share p of a tensor depends on its depth l of L: linear is p (1 - l / (L - 1)); with L = 1 it is p.
enum class DepthLaw { kLinear, kConstant };
/// What counts as a layer: the tensor's index, its module's index, or the share of parameters before it.
enum class DepthUnit { kTensor, kModule, kParameters };
/// How p depends on time, u = share of training done: 1; lr_t / lr_0; (1 + cos(pi u)) / 2.
enum class RateSchedule { kConstant, kLr, kCosine };
enum class Renorm { kNone, kReset, kRepair };
/// Before an average: weight permutes every member's units to fit member 0's.
enum class Align { kNone, kWeight };

/// What the exchanges of a run may cost; one of these. Bytes decide p (wash, sparta) or how many exchanges there are (the others)
/// before the run starts; seconds and share decide while it runs, in all of them, after which steps there is one.
struct Budget {
  std::optional<double> bytes_per_rank{};  ///< sent, mean over the ranks, > 0
  std::optional<double> seconds{};         ///< in exchanges, mean over the ranks, > 0
  std::optional<double> share{};           ///< seconds in exchanges of those in steps and exchanges together, in (0, 1)
  bool by_clock() const { return seconds || share; }
};

/// When a strategy acts within an epoch: at steps t (from 0) with t mod every_steps = 0 and
/// start <= t / total_steps < stop.
struct StepWindow {
  int64_t every_steps = 1;
  double start = 0, stop = 1;  ///< shares of training
  std::optional<Budget> budget{};
  /// Instead of every_steps: so many exchanges, evenly spread over the window. What a budget in bytes comes to (trainer/plan/budget.h).
  std::optional<int64_t> exchanges{};
};

/// What travels, and when it is applied (comm/payload.h, comm/sparse_flight.h).
struct TravelOptions {
  comm::Payload payload = comm::Payload::kFloat32;
  int64_t delay_steps = 0;  ///< tau: the exchange of step t is applied after step t + tau
  double correction = 1;    ///< share of what a member has learnt in these steps that it keeps
};

struct IndependentOptions {
  /// m <- d m + (1 - d) theta after step t, d = min(ema, (1 + t) / (10 + t)); theta <- m after the last step. None: off.
  std::optional<double> ema{};
};
struct WashOptions {
  double p = 0.001;  ///< share of (member, coordinate) places that really move
  DepthLaw law = DepthLaw::kLinear;
  DepthUnit depth = DepthUnit::kTensor;
  bool optimizer_state = false;  ///< WASH+Opt: moments follow their weights
  RateSchedule schedule = RateSchedule::kConstant;
  StepWindow when{};
  TravelOptions travel{};
};
struct PapaOptions {
  double alpha = 0.99;    ///< theta <- alpha theta + (1 - alpha) mean
  bool couple_lr = true;  ///< 1 - alpha is scaled by lr_t / lr_0
  bool buffers = true;    ///< batch-norm statistics are pulled as well
  StepWindow when{.every_steps = 10};
};
struct PapaAllOptions {
  int64_t every_epochs = 5;
  Renorm renorm = Renorm::kRepair;
  Align align = Align::kNone;
};
struct Papa2Options {
  int64_t every_epochs = 5;
  Renorm renorm = Renorm::kRepair;
  Align align = Align::kNone;
};
struct DartOptions {
  std::optional<int64_t> from_epoch{};  ///< none: half of training
  int64_t every_epochs = 40;
  Align align = Align::kNone;
};
struct LocalSgdOptions {
  int64_t post_local_from = 0;  ///< before this step the members average after every step (post-local SGD)
  Align align = Align::kNone;
  StepWindow when{.every_steps = 100};
};
struct DilocoOptions {
  double outer_lr = 0.7, outer_momentum = 0.9;
  bool nesterov = true;
  StepWindow when{.every_steps = 100};
};
struct SpartaOptions {
  double p = 0.001;  ///< share of coordinates that are averaged
  DepthLaw law = DepthLaw::kConstant;
  StepWindow when{};
  TravelOptions travel{};
};
struct GossipOptions {
  double weight = 0.5;  ///< theta <- (1 - weight) theta + weight peer, on both sides
  StepWindow when{.every_steps = 10};
};

using StrategyOptions =
    std::variant<IndependentOptions, WashOptions, PapaOptions, PapaAllOptions, Papa2Options,
                 DartOptions, LocalSgdOptions, DilocoOptions, SpartaOptions, GossipOptions>;

/// The name in YAML: "wash", "papa-all", ...
std::string_view StrategyName(const StrategyOptions& options);

}  // namespace basin::trainer
