// After which steps members exchange when the clock limits them: a pure rule over numbers that all ranks have agreed on.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/strategy_options.h"

namespace basin::trainer {

/// What a run has cost so far, the same on all ranks: means over them.
struct Spending {
  double exchange_seconds = 0;   ///< agreements included
  double agreement_seconds = 0;  ///< of all the times that the ranks told each other these numbers
  int64_t agreements = 0;
  double train_seconds = 0;  ///< in steps, exchanges not included
  int64_t exchanges = 0;
  int64_t steps = 0;  ///< taken since the start of the run
};

/// Spreads what is left of the budget evenly over the steps that are left, by what an exchange cost lately, and again whenever a third of
/// it has been spent, until the rest is too little to matter. An agreement costs as much as a few small exchanges on a slow link, so those
/// to come are paid for in the plan, and there are few. Lately is the second half of the exchanges: long enough for costs that scatter,
/// short enough for those that fall with the learning rate. The first exchange is no measure for the others (it opens connections and
/// touches memory), so a run begins with two.
class Pacer {
 public:
  /// `begin`, `end`: steps in which the strategy may act. budget.by_clock().
  Pacer(const Budget& budget, int64_t begin, int64_t end, int64_t total_steps);

  /// Whether members exchange after this step. Steps come in ascending order.
  bool Acts(int64_t step);
  /// After an exchange, or before the first step of a run that goes on: whether the ranks must agree on what was spent and call
  /// Learn before the next step.
  bool wants_to_know() const { return wants_to_know_; }
  /// `spending` after the step before `next_step`.
  void Learn(const Spending& spending, int64_t next_step);

 private:
  struct Mark {
    int64_t exchanges = 0;
    double seconds = 0;  // without agreements
  };
  /// Mean cost of an exchange lately, agreements apart.
  double CostLately(const Mark& now);
  /// What a plan is made of, in seconds.
  struct Costs {
    double exchange = 0, agreement = 0;
    double allowance = 0;  // in all
  };
  /// How many exchanges a plan of `rest` makes, after `done`, before it is made anew; 0: it is the last one.
  static int64_t UntilReview(int64_t rest, int64_t done, const Costs& costs);
  /// How many exchanges `seconds` pay for, with the agreements between them.
  static int64_t Affordable(double seconds, int64_t steps, int64_t done, const Costs& costs);
  /// What may be spent on exchanges in all, by what is known now.
  double Allowance(const Spending& spending) const;

  const Budget budget_;
  const int64_t begin_, end_, total_steps_;
  bool wants_to_know_ = true;
  // The plan: `exchanges_` of them in the steps [from_, end_), evenly.
  int64_t from_ = 0, exchanges_ = 0;
  int64_t until_review_ = 0;  // exchanges before the plan is made anew; 0 or below: never again
  std::vector<Mark> marks_;   // at reviews, ascending; the first lies before the second half
};

}  // namespace basin::trainer
