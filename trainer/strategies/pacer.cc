#include "trainer/strategies/pacer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace basin::trainer {

Pacer::Pacer(const Budget& budget, int64_t begin, int64_t end, int64_t total_steps)
    : budget_(budget), begin_(begin), end_(end), total_steps_(total_steps) {
  BASIN_CHECK(budget.by_clock(), "a budget in bytes needs no clock");
}

bool Pacer::Acts(int64_t step) {
  if (step < begin_ || step >= end_ || exchanges_ == 0 || wants_to_know_) return false;
  // Bresenham's line, as in StepTimes: an exchange ends each of the equal parts.
  const int64_t width = end_ - from_, at = step - from_;
  const bool acts = (at + 1) * exchanges_ / width > at * exchanges_ / width;
  if (acts) wants_to_know_ = --until_review_ == 0;
  return acts;
}

double Pacer::Allowance(const Spending& spending) const {
  if (budget_.seconds) return *budget_.seconds;
  const double train =
      spending.steps == 0 ? 0 : spending.train_seconds * static_cast<double>(total_steps_) / static_cast<double>(spending.steps);
  return *budget_.share / (1 - *budget_.share) * train;
}

double Pacer::CostLately(const Mark& now) {
  marks_.push_back(now);
  while (marks_.size() > 2 && marks_[1].exchanges <= now.exchanges / 2) marks_.erase(marks_.begin());
  const Mark before = marks_.size() > 1 ? marks_.front() : Mark{};  // a run that goes on: all of it
  return (now.seconds - before.seconds) / static_cast<double>(now.exchanges - before.exchanges);
}

int64_t Pacer::UntilReview(int64_t rest, int64_t done, const Costs& costs) {
  // Where a rest costs a fifth more or less than was thought, a twentieth of the budget is off by half of the tolerance. An agreement about
  // a rest that is not much larger would be the larger error itself.
  const double seconds = static_cast<double>(rest) * costs.exchange;
  if (seconds < 0.05 * costs.allowance || seconds < 4 * costs.agreement) return 0;
  return std::max<int64_t>(1, std::min(rest / 3, 2 * done));  // what few exchanges have taught is not trusted far
}

int64_t Pacer::Affordable(double seconds, int64_t steps, int64_t done, const Costs& costs) {
  const auto exchanges_for = [&](double left) {
    return static_cast<int64_t>(std::clamp(std::round(left / costs.exchange), 0.0, static_cast<double>(steps)));
  };
  const int64_t at_most = exchanges_for(seconds);
  int64_t agreements = 0;
  for (int64_t rest = at_most, next; (next = UntilReview(rest, done + at_most - rest, costs)) > 0; rest -= next) ++agreements;
  return exchanges_for(seconds - static_cast<double>(agreements) * costs.agreement);
}

void Pacer::Learn(const Spending& spending, int64_t next_step) {
  wants_to_know_ = false;
  from_ = std::max(begin_, next_step);
  const int64_t steps = end_ - from_;
  exchanges_ = 0;
  if (steps <= 0) return;
  const Mark now{.exchanges = spending.exchanges, .seconds = spending.exchange_seconds - spending.agreement_seconds};
  if (now.exchanges < 2) {
    if (now.exchanges == 1) marks_ = {now};
    exchanges_ = steps;  // at once
    until_review_ = 1;
    return;
  }
  const Costs costs{.exchange = CostLately(now),
                    .agreement = spending.agreements == 0 ? 0 : spending.agreement_seconds / static_cast<double>(spending.agreements),
                    .allowance = Allowance(spending)};
  const double left = costs.allowance - spending.exchange_seconds - costs.agreement;  // the present one is not in the sum yet
  exchanges_ = costs.exchange > 0 ? Affordable(left, steps, now.exchanges, costs) : steps;
  until_review_ = UntilReview(exchanges_, now.exchanges, costs);
}

}  // namespace basin::trainer
