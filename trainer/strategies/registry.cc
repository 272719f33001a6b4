// The table of strategies: one row each.
#include "base/error.h"
#include "trainer/plan/budget.h"
#include "trainer/strategies/dart.h"
#include "trainer/strategies/diloco.h"
#include "trainer/strategies/gossip.h"
#include "trainer/strategies/independent.h"
#include "trainer/strategies/local_sgd.h"
#include "trainer/strategies/paced.h"
#include "trainer/strategies/papa.h"
#include "trainer/strategies/papa2.h"
#include "trainer/strategies/papa_all.h"
#include "trainer/strategies/sparta.h"
#include "trainer/strategies/wash.h"
#include "trainer/strategy.h"

namespace basin::trainer {
namespace {

template <typename Class, typename Options>
struct Row {
  const RunShape& shape;
  std::unique_ptr<Strategy> operator()(const Options& options) const {
    return std::make_unique<Class>(options, shape);
  }
};

template <typename... Rows>
struct Table : Rows... {
  using Rows::operator()...;
};
template <typename... Rows>
Table(Rows...) -> Table<Rows...>;

template <size_t... I>
std::vector<std::string> Names(std::index_sequence<I...>) {
  return {std::string(StrategyName(StrategyOptions(std::in_place_index<I>)))...};
}

std::unique_ptr<Strategy> MakePaced(StrategyOptions options, const RunShape& shape) {
  StepWindow& window = *WindowOf(options);
  const Budget budget = *window.budget;
  BASIN_CHECK(budget.by_clock(), StrategyName(options), " was given a budget in bytes that was not fitted");
  window.budget.reset();
  window.every_steps = 1;
  return std::make_unique<Paced>(MakeStrategy(options, shape), budget, window, shape);
}

}  // namespace

std::unique_ptr<Strategy> MakeStrategy(const StrategyOptions& options, const RunShape& shape) {
  if (const StepWindow* window = WindowOf(options); window != nullptr && window->budget) return MakePaced(options, shape);
  const Table table{Row<Independent, IndependentOptions>{shape},
                    Row<Wash, WashOptions>{shape},
                    Row<Papa, PapaOptions>{shape},
                    Row<PapaAll, PapaAllOptions>{shape},
                    Row<Papa2, Papa2Options>{shape},
                    Row<Dart, DartOptions>{shape},
                    Row<LocalSgd, LocalSgdOptions>{shape},
                    Row<Diloco, DilocoOptions>{shape},
                    Row<Sparta, SpartaOptions>{shape},
                    Row<Gossip, GossipOptions>{shape}};
  return std::visit(table, options);
}

std::vector<std::string> StrategyNames() {
  return Names(std::make_index_sequence<std::variant_size_v<StrategyOptions>>());
}

}  // namespace basin::trainer
