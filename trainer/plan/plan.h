// What exchanges cost, before anything runs: a strategy's forecast and what its calls take on a network.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "comm/link.h"
#include "trainer/config/config.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// Seconds of so many exchanges of these calls, one after another: mean over the ranks, which all begin together.
class CallTimes {
 public:
  virtual ~CallTimes() = default;
  virtual double Seconds(const std::vector<ExpectedCall>& calls, int64_t exchanges, int members) const = 0;
};

/// By the arithmetic of comm/link.h: exactly what an emulated link takes. The backends of the CPU.
class LinkTimes final : public CallTimes {
 public:
  explicit LinkTimes(const comm::Link& link) : link_(link) {}
  /// A rank that ends an exchange before the others begins the next one before them: the first 64 are followed one by one.
  double Seconds(const std::vector<ExpectedCall>& calls, int64_t exchanges, int members) const override;

 private:
  comm::Link link_;
};

/// Seconds of one kind of call by its bytes, ascending.
struct TimeTable {
  std::vector<double> bytes, seconds;
  /// Linear between two sizes; below the first one as the first; above the last one on with the last slope. No line through all of them:
  /// protocols change with the size of a message.
  double At(double size) const;
};
/// Measured (trainer/plan/probe.h).
class ProbedTimes final : public CallTimes {
 public:
  ProbedTimes(TimeTable all_reduce, TimeTable all_to_all) : all_reduce_(std::move(all_reduce)), all_to_all_(std::move(all_to_all)) {}
  /// A round of other messages counts as an all-to-all of what its busiest rank sends.
  double Seconds(const std::vector<ExpectedCall>& calls, int64_t exchanges, int members) const override;
  base::Json AsJson() const;

 private:
  double OneCall(const ExpectedCall& call, int members) const;
  TimeTable all_reduce_, all_to_all_;  // bytes: of the vector; that a rank sends
};

/// Seconds of all exchanges, transfers alone. 0 without exchanges.
double TransferSeconds(const Forecast& forecast, int members, const CallTimes& times);
/// The same with what a rank does itself: drawing places and packing values, or averaging a vector. Not known: waiting for slower members,
/// aligning, renormalising. On the CPU; an order of magnitude that is right for this decade's cores, and small beside a slow network.
double ExchangeSeconds(const Forecast& forecast, int members, const CallTimes& times);

/// Bytes of tensors that a rank holds at most, without a batch's activations and the data set: weights, gradients, moments, statistics, the
/// strategy's state and buffers, a checkpoint's copy, and at the end the networks of all members.
double PeakBytes(const RunConfig& config, const RunShape& shape, const Forecast& forecast);

/// What result.json says of the run under "plan": bytes, messages, exchanges, seconds (null without a known link).
base::Json PlanJson(const RunShape& shape, const Forecast& forecast, const CallTimes* times);

/// A strategy at its settings in a run.
struct PlannedStrategy {
  StrategyOptions options;
  bool configured = false;
  Forecast forecast;
  std::optional<double> seconds{}, transfer_seconds{};  ///< of all exchanges; none: no link is known
  double peak_bytes = 0;
};
/// Whether a strategy can keep a budget, and how.
struct FittedStrategy {
  StrategyOptions options;  ///< as one would write them: with strategy.budget where there is one
  Forecast forecast;        ///< when it can
  std::string how;          ///< "p = 0.0123, every step" | "40 exchanges, one in 25.0 steps" | "every 8 epochs"
  std::string refusal{};    ///< why it cannot, with the nearest that can; empty: it can
};

/// Every strategy, the configured one with its own settings, the others with their defaults.
std::vector<PlannedStrategy> PlanStrategies(const RunConfig& config, const RunShape& shape, const CallTimes* times);
/// Every strategy that exchanges, brought to so many bytes a rank: by its budget, or the ones that act after epochs by the shortest
/// interval that stays below.
std::vector<FittedStrategy> FitStrategies(const RunConfig& config, const RunShape& shape, double bytes_per_rank);

}  // namespace basin::trainer
