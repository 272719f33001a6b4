#include "trainer/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "trainer/plan/budget.h"
#include "trainer/strategies/timing.h"

namespace basin::trainer {
namespace {

double Mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double BusiestSender(const comm::Round& round, int members) {
  std::vector<double> sent(members, 0);
  for (const comm::Message& message : round) sent.at(message.from) += message.bytes;
  return *std::ranges::max_element(sent);
}

/// Of the vector that is summed, or what the busiest rank sends.
double LargestBytes(const ExpectedCall& call, int members) {
  if (call.kind != ExpectedCall::Kind::kRounds) return call.bytes;
  std::vector<double> courses;
  for (const std::vector<comm::Round>& rounds : call.courses) {
    double& bytes = courses.emplace_back(0);
    for (const comm::Round& round : rounds) bytes = std::max(bytes, BusiestSender(round, members));
  }
  return Mean(courses);
}

/// Of the call in exchange number `exchange`. In so large groups all ranks are alike, and who sends to whom is not spelt out: every rank
/// sends what it has to the next.
std::vector<comm::Round> RoundsOf(const ExpectedCall& call, int64_t exchange, int members) {
  constexpr int kLargest = 256;
  if (call.kind == ExpectedCall::Kind::kRounds) return call.courses.at(exchange % std::ssize(call.courses));
  const bool sums = call.kind == ExpectedCall::Kind::kAllReduce;
  if (members <= kLargest) {
    constexpr double kElement = sizeof(float);
    return sums ? comm::AllReduceRounds(members, std::llround(call.bytes / kElement), kElement)
                : comm::AllGatherRounds(members, call.bytes / (members - 1));
  }
  const double sent = sums ? call.bytes * (members - 1) / members : call.bytes;
  comm::Round round;
  for (int from = 0; from < members; ++from) round.push_back({from, (from + 1) % members, sent});
  return std::vector<comm::Round>(sums ? 2 : 1, round);
}

}  // namespace

double LinkTimes::Seconds(const std::vector<ExpectedCall>& calls, int64_t exchanges, int members) const {
  constexpr int64_t kFollowed = 64;
  std::vector<double> ends(members, 0), mean_ends{0};
  for (int64_t exchange = 0; exchange < std::min(exchanges, kFollowed); ++exchange) {
    for (const ExpectedCall& call : calls) ends = comm::RoundsEnd(link_, std::move(ends), RoundsOf(call, exchange, members));
    mean_ends.push_back(Mean(ends));
  }
  if (exchanges <= kFollowed) return mean_ends.back();
  const double later_half = mean_ends.back() - mean_ends[kFollowed / 2];
  return mean_ends.back() + later_half / (kFollowed / 2) * static_cast<double>(exchanges - kFollowed);
}

double TimeTable::At(double size) const {
  BASIN_CHECK(!bytes.empty() && bytes.size() == seconds.size(), "a table of ", bytes.size(), " sizes and ", seconds.size(), " times");
  if (size <= bytes.front() || bytes.size() == 1) return seconds.front();
  const size_t above = std::clamp<size_t>(std::ranges::upper_bound(bytes, size) - bytes.begin(), 1, bytes.size() - 1);
  const double share = (size - bytes[above - 1]) / (bytes[above] - bytes[above - 1]);
  return seconds[above - 1] + share * (seconds[above] - seconds[above - 1]);
}

double ProbedTimes::OneCall(const ExpectedCall& call, int members) const {
  if (call.kind == ExpectedCall::Kind::kAllReduce) return all_reduce_.At(call.bytes);
  if (call.kind == ExpectedCall::Kind::kAllToAll) return all_to_all_.At(call.bytes);
  std::vector<double> courses;
  for (const std::vector<comm::Round>& rounds : call.courses) {
    double& seconds = courses.emplace_back(0);
    for (const comm::Round& round : rounds) seconds += all_to_all_.At(BusiestSender(round, members));
  }
  return Mean(courses);
}

double ProbedTimes::Seconds(const std::vector<ExpectedCall>& calls, int64_t exchanges, int members) const {
  double one = 0;
  for (const ExpectedCall& call : calls) one += OneCall(call, members);
  return one * static_cast<double>(exchanges);
}

base::Json ProbedTimes::AsJson() const {
  const auto table = [](const TimeTable& times) { return base::Json{{"bytes", times.bytes}, {"seconds", times.seconds}}; };
  return {{"all_reduce", table(all_reduce_)}, {"all_to_all", table(all_to_all_)}};
}

double TransferSeconds(const Forecast& forecast, int members, const CallTimes& times) {
  return members == 1 ? 0 : times.Seconds(forecast.calls, forecast.exchanges, members);
}

double ExchangeSeconds(const Forecast& forecast, int members, const CallTimes& times) {
  // Measured by bench/plan.sh on a core of 2.6 GHz: .36 ms for 37,600 drawn values, .5 to 1.6 ms for a vector of 376,000.
  constexpr double kDrawnValue = 9e-9, kValue = 2.5e-9;
  if (members == 1) return 0;
  double values = 0;
  for (const ExpectedCall& call : forecast.calls) values += LargestBytes(call, members) / sizeof(float);
  const double own = forecast.drawn_values > 0 ? kDrawnValue * forecast.drawn_values : kValue * values;
  return TransferSeconds(forecast, members, times) + static_cast<double>(forecast.exchanges) * own;
}

double PeakBytes(const RunConfig& config, const RunShape& shape, const Forecast& forecast) {
  constexpr double kFloat = sizeof(float);
  const auto weights = static_cast<double>(shape.num_parameters) * kFloat;
  const auto statistics = static_cast<double>(shape.num_statistics) * kFloat;
  const double network = weights + statistics, moments = weights * shape.num_moments;
  const double member = network + weights + moments;  // and gradients
  const double exchange = shape.members == 1 ? 0 : forecast.memory_bytes;
  const double checkpoint = config.checkpoint.every_steps > 0 ? network + moments : 0;
  // All members' networks, the one that scores them, and their average while it is taken.
  const double finish = network * (shape.members + 2);
  return member + checkpoint + exchange + finish;
}

base::Json PlanJson(const RunShape& shape, const Forecast& forecast, const CallTimes* times) {
  const auto known = [&](double value) { return forecast.is_known ? base::Json(value) : base::Json(); };
  base::Json plan{{"bytes_per_rank", known(forecast.bytes_per_rank)},
                  {"messages_per_rank", known(forecast.messages_per_rank)},
                  {"exchanges", forecast.is_known ? base::Json(forecast.exchanges) : base::Json()},
                  {"seconds", nullptr}};  // memory depends on checkpoints, which change no result
  if (times != nullptr && forecast.is_known) plan["seconds"] = ExchangeSeconds(forecast, shape.members, *times);
  return plan;
}

std::vector<PlannedStrategy> PlanStrategies(const RunConfig& config, const RunShape& shape, const CallTimes* times) {
  std::vector<PlannedStrategy> rows;
  for (StrategyOptions options : DefaultStrategies()) {
    PlannedStrategy row{.options = options, .configured = options.index() == config.strategy.index()};
    if (row.configured) row.options = config.strategy;
    row.forecast = MakeStrategy(FitBudget(row.options, shape), shape)->Predict();
    if (times != nullptr && row.forecast.is_known) {
      row.seconds = ExchangeSeconds(row.forecast, shape.members, *times);
      row.transfer_seconds = TransferSeconds(row.forecast, shape.members, *times);
    }
    row.peak_bytes = PeakBytes(config, shape, row.forecast);
    rows.push_back(std::move(row));
  }
  return rows;
}

namespace {

/// The interval of a strategy that acts after epochs; null for others.
int64_t* EpochsOf(StrategyOptions& options) {
  return std::visit(
      [](auto& own) -> int64_t* {
        if constexpr (requires { own.every_epochs; }) return &own.every_epochs;
        return nullptr;
      },
      options);
}

void FitWindow(FittedStrategy& row, const RunShape& shape, double bytes_per_rank) {
  StepWindow& window = *WindowOf(row.options);
  window.budget = Budget{.bytes_per_rank = bytes_per_rank};
  if (auto* local = std::get_if<LocalSgdOptions>(&row.options)) local->post_local_from = 0;  // a budget leaves no room for it
  StrategyOptions fitted = FitBudget(row.options, shape);
  row.forecast = MakeStrategy(fitted, shape)->Predict();
  const StepTimes times(window, shape);
  if (const double* p = ShareOf(fitted)) {
    const std::string every = window.every_steps == 1 ? "every step" : Text("every ", window.every_steps, " steps");
    row.how = Text("p = ", *p, ", ", every);
  } else {
    row.how = Text(row.forecast.exchanges, " exchanges, one in ",
                   static_cast<double>(times.end() - times.begin()) / static_cast<double>(row.forecast.exchanges), " steps");
  }
}

void FitEpochs(FittedStrategy& row, const RunShape& shape, double bytes_per_rank) {
  int64_t& every = *EpochsOf(row.options);
  for (every = 1; every <= std::max<int64_t>(1, shape.total_epochs()); ++every) {
    row.forecast = MakeStrategy(row.options, shape)->Predict();
    row.how = Text("every ", every, every == 1 ? " epoch" : " epochs");
    if (row.forecast.bytes_per_rank <= bytes_per_rank) return;
  }
  throw ConfigError("its fewest exchanges send more");
}

}  // namespace

std::vector<FittedStrategy> FitStrategies(const RunConfig& config, const RunShape& shape, double bytes_per_rank) {
  std::vector<FittedStrategy> rows;
  for (StrategyOptions options : DefaultStrategies()) {
    FittedStrategy row{.options = options.index() == config.strategy.index() ? config.strategy : options};
    const bool by_steps = WindowOf(row.options) != nullptr;
    if (!by_steps && EpochsOf(row.options) == nullptr) continue;  // independent
    try {
      by_steps ? FitWindow(row, shape, bytes_per_rank) : FitEpochs(row, shape, bytes_per_rank);
    } catch (const ConfigError& refused) {
      row.refusal = refused.what();
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace basin::trainer
