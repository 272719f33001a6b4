#include "trainer/sweep/budgets.h"

#include <set>

#include "base/error.h"
#include "data/registry.h"
#include "trainer/check.h"
#include "trainer/plan/budget.h"

namespace basin::trainer {

void CheckBudgets(const SweepPlan& plan) {
  std::string refusals;
  std::set<size_t> seen;  // seeds change no budget
  for (const SweepRun& run : plan.runs) {
    if (!HasBudget(run.config.strategy) || !seen.insert(run.cell).second) continue;
    const data::DatasetOutline outline = data::OutlineDataset(run.config.data);
    CheckAgainstData(run.config, *outline.dataset);
    try {
      CheckBudget(run.config, *outline.dataset);
    } catch (const ConfigError& refused) {
      refusals += Text("\n  ", plan.cells[run.cell].name, ": ", refused.what());
    }
  }
  if (!refusals.empty()) throw ConfigError(Text(plan.name, ": settings that cannot keep their budget:", refusals));
}

}  // namespace basin::trainer
