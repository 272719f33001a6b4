#include "trainer/check.h"

#include "base/error.h"
#include "data/registry.h"
#include "trainer/loop.h"
#include "trainer/plan/budget.h"

namespace basin::trainer {

CheckedConfig CheckConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const RunConfig config = ReadRunConfig(file, overrides);
  const auto dataset = data::LoadDataset(config.data);
  CheckAgainstData(config, *dataset);
  Member member(config, *dataset, 0, torch::kCPU);
  const RunShape shape = ShapeOf(config, *dataset, member);
  const Forecast forecast = MakeStrategy(FitBudget(config.strategy, shape), shape)->Predict();

  CheckedConfig checked{.yaml = ToYaml(config)};
  checked.summary =
      Text(file.string(), ": valid. ", config.population.members, " members of ", config.model.name, " (", shape.num_parameters,
           " parameters) on ", config.data.name, " (", dataset->train.size(), " train, ", dataset->validation.size(),
           " validation, ", dataset->test.size(), " test), ", shape.total_steps, " steps, strategy ",
           StrategyName(config.strategy), forecast.is_known ? ": about " : ": by the clock, at most ",
           static_cast<int64_t>(forecast.bytes_per_rank), " bytes a rank in ", forecast.exchanges, " exchanges");
  checked.as_json = {{"valid", true},
                     {"config_hash", ConfigHash(config)},
                     {"steps", shape.total_steps},
                     {"parameters", shape.num_parameters},
                     {"predicted_bytes_per_rank", forecast.is_known ? base::Json(forecast.bytes_per_rank) : base::Json()},
                     {"exchanges", forecast.is_known ? base::Json(forecast.exchanges) : base::Json()},
                     {"config", checked.yaml}};
  return checked;
}

void CheckBudget(const RunConfig& config, const data::Dataset& dataset) {
  if (!HasBudget(config.strategy)) return;
  Member member(config, dataset, 0, torch::kCPU);
  FitBudget(config.strategy, ShapeOf(config, dataset, member));
}

}  // namespace basin::trainer
