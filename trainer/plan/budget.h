// strategy.budget: from what may be spent to what is done.
#pragma once

#include "base/json.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// A run that ends further from its budget than this share of it has missed it.
inline constexpr double kBudgetTolerance = 0.02;

/// The window that a strategy acts in; null for those that act after epochs, or never.
StepWindow* WindowOf(StrategyOptions& options);
const StepWindow* WindowOf(const StrategyOptions& options);
/// The p of wash and sparta; null for others.
double* ShareOf(StrategyOptions& options);

bool HasBudget(const StrategyOptions& options);

/// The options with a budget in bytes replaced by what spends it in a run of this shape: p so that the expected bytes are the budget
/// (wash, sparta, with every_steps as it is), or a number of exchanges evenly spread over the window (the others). The strategy's own
/// forecast decides, nothing is measured, so all ranks and every resumed run find the same. Budgets in seconds and shares stay.
/// ConfigError for a budget that cannot be kept within kBudgetTolerance, with the nearest that can: more than all steps at p = 1 send;
/// between two numbers of dense exchanges; so small that the draws of the coordinates scatter more than that (three standard
/// deviations).
StrategyOptions FitBudget(const StrategyOptions& options, const RunShape& shape);

/// What result.json says under "budget": the limit, what it came to (p or exchanges), what was spent and its ratio to the limit, from
/// "bytes" and "seconds" of the result. Warns when the ratio is off by more than kBudgetTolerance.
base::Json BudgetReport(const StrategyOptions& configured, const StrategyOptions& fitted, const base::Json& result);

}  // namespace basin::trainer
