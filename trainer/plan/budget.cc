#include "trainer/plan/budget.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "trainer/strategies/timing.h"

namespace basin::trainer {
namespace {

/// To three digits: nobody budgets finer, and a nearest budget that a message names must be within reach itself.
std::string Rounded(double bytes) {
  if (bytes <= 0) return "0B";
  const double unit = std::pow(10.0, std::floor(std::log10(bytes)) - 2);
  const double digits = std::round(bytes / unit);
  return base::BytesText(std::max(1.0, std::round(digits * unit)));
}

class Fit {
 public:
  Fit(const StrategyOptions& options, const RunShape& shape) : options_(options), shape_(shape), window_(*WindowOf(options_)) {
    budget_ = *window_.budget->bytes_per_rank;
    window_.budget.reset();
  }

  StrategyOptions Run() {
    if (shape_.members == 1) throw Refused("one member sends nothing; it needs population.members of at least 2");
    const StepTimes times(window_, shape_);
    steps_ = times.end() - times.begin();
    if (steps_ == 0) throw Refused("no step of the run lies between strategy.start and strategy.stop");
    ShareOf(options_) != nullptr ? FitShare() : FitExchanges();
    return options_;
  }

 private:
  Forecast Predict() const { return MakeStrategy(options_, shape_)->Predict(); }
  Forecast PredictAt(double p) {
    *ShareOf(options_) = p;
    return Predict();
  }

  ConfigError Refused(const std::string& why) const {
    return ConfigError(Text("strategy.budget.bytes_per_rank: ", base::BytesText(budget_), " cannot be spent by ", StrategyName(options_),
                            " in this run: ", why));
  }

  /// Bytes grow with p, in proportion until the first tensor is chosen whole.
  void FitShare() {
    const Forecast most = PredictAt(1);
    if (most.exchanges == 0) throw Refused("no step of the run exchanges; see strategy.every_steps, start and stop");
    if (budget_ > most.bytes_per_rank * (1 + kBudgetTolerance)) {
      throw Refused(Text("all weights at every exchange (p = 1, ", most.exchanges, " exchanges) are less; the nearest possible is ",
                         Rounded(most.bytes_per_rank)));
    }
    constexpr double kSmall = 1e-9;
    double low = 0, high = 1, p = std::min(1.0, budget_ * kSmall / PredictAt(kSmall).bytes_per_rank);
    Forecast forecast = PredictAt(p);
    for (int k = 0; k < 60 && std::abs(forecast.bytes_per_rank - budget_) > 1e-6 * budget_ && p < 1; ++k) {
      (forecast.bytes_per_rank < budget_ ? low : high) = p;
      p = (low + high) / 2;
      forecast = PredictAt(p);
    }
    CheckScatter(forecast, most);
  }

  void CheckScatter(const Forecast& forecast, const Forecast& most) const {
    const auto scatter = [](const Forecast& one) { return 3 * one.bytes_stddev / one.bytes_per_rank; };
    if (scatter(forecast) <= kBudgetTolerance) return;
    // The variance grows in proportion to the bytes, so the scatter falls with their square root.
    const double ratio = scatter(forecast) / kBudgetTolerance, enough = budget_ * ratio * ratio;
    const std::string nearest = enough < most.bytes_per_rank        ? Text("the nearest possible is ", Rounded(1.01 * enough))
                                : scatter(most) <= kBudgetTolerance ? Text("the nearest possible is ", Rounded(most.bytes_per_rank))
                                                                    : "this run is too short for any budget";
    throw Refused(Text("so few values are drawn that their number scatters by ", 0.1 * std::round(1000 * scatter(forecast)),
                       " % (three standard deviations), and ", 100 * kBudgetTolerance, " % is kept; ", nearest));
  }

  void FitExchanges() {
    window_.exchanges = 1;
    const double one = Predict().bytes_per_rank;
    const auto misses = [&](int64_t exchanges) {
      return std::abs(static_cast<double>(exchanges) * one - budget_) > kBudgetTolerance * budget_;
    };
    const double wanted = budget_ / one;
    window_.exchanges = static_cast<int64_t>(std::clamp(std::round(wanted), 1.0, static_cast<double>(steps_)));
    if (!misses(*window_.exchanges)) return;
    std::string nearest;
    for (const double candidate : {std::floor(wanted), std::ceil(wanted)}) {
      const auto exchanges = static_cast<int64_t>(std::clamp(candidate, 1.0, static_cast<double>(steps_)));
      const std::string text =
          Text(Rounded(static_cast<double>(exchanges) * one), " (", exchanges, exchanges == 1 ? " exchange)" : " exchanges)");
      if (nearest.find(text) == std::string::npos) nearest += (nearest.empty() ? "" : " and ") + text;
    }
    throw Refused(Text("an exchange sends ", Rounded(one), ", and there is at most one a step; the nearest possible: ", nearest));
  }

  StrategyOptions options_;
  const RunShape& shape_;
  StepWindow& window_;
  double budget_ = 0;
  int64_t steps_ = 0;  // in the window
};

}  // namespace

StepWindow* WindowOf(StrategyOptions& options) {
  return std::visit(
      [](auto& own) -> StepWindow* {
        if constexpr (requires { own.when; }) return &own.when;
        return nullptr;
      },
      options);
}

const StepWindow* WindowOf(const StrategyOptions& options) { return WindowOf(const_cast<StrategyOptions&>(options)); }

double* ShareOf(StrategyOptions& options) {
  return std::visit(
      [](auto& own) -> double* {
        if constexpr (requires { own.p; }) return &own.p;
        return nullptr;
      },
      options);
}

bool HasBudget(const StrategyOptions& options) {
  const StepWindow* window = WindowOf(options);
  return window != nullptr && window->budget;
}

StrategyOptions FitBudget(const StrategyOptions& options, const RunShape& shape) {
  const StepWindow* window = WindowOf(options);
  if (window == nullptr || !window->budget || !window->budget->bytes_per_rank) return options;
  return Fit(options, shape).Run();
}

base::Json BudgetReport(const StrategyOptions& configured, const StrategyOptions& fitted, const base::Json& result) {
  const Budget& budget = *WindowOf(configured)->budget;
  const base::Json &seconds = result.at("seconds"), &bytes = result.at("bytes");
  const double exchange = seconds.at("exchange").get<double>(), train = seconds.at("train").get<double>();
  base::Json report;
  const auto add = [&](const char* key, const std::optional<double>& limit, double spent) {
    if (limit) report.update({{key, *limit}, {"spent", spent}, {"ratio", spent / *limit}});
  };
  add("bytes_per_rank", budget.bytes_per_rank, bytes.at("payload_per_rank").get<double>());
  add("seconds", budget.seconds, exchange);
  add("share", budget.share, exchange > 0 ? exchange / (exchange + train) : 0);
  StrategyOptions options = fitted;
  if (const double* p = ShareOf(options)) report["p"] = *p;
  report["exchanges"] = bytes.at("exchanges");
  const double ratio = report.at("ratio").get<double>();
  if (std::abs(ratio - 1) > kBudgetTolerance) {
    base::LogWarning(Text("strategy.budget: ", 100 * ratio, " % of it were spent; ",
                          ratio < 1 ? "exchanges at every step would not have cost more, or " : "",
                          "one exchange is too large a part of it, or their cost changed at the end"));
  }
  return report;
}

}  // namespace basin::trainer
