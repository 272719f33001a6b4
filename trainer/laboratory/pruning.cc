#include "trainer/laboratory/pruning.h"

#include "base/error.h"

namespace basin::trainer {
namespace {

base::Json AsJson(const Score& score) { return {{"loss", score.loss}, {"accuracy", score.accuracy}}; }

base::Json LayersAsJson(const std::vector<merge::PrunedLayer>& layers, base::Json& report) {
  base::Json list = base::Json::array();
  int64_t elements = 0, zeros = 0;
  for (const merge::PrunedLayer& layer : layers) {
    list.push_back({{"name", layer.name}, {"elements", layer.elements}, {"zeros", layer.zeros}});
    elements += layer.elements;
    zeros += layer.zeros;
  }
  report["prunable"] = elements;
  report["zeros"] = zeros;
  return list;
}

}  // namespace

base::Json PruneFile(const RunConfig& config, const std::filesystem::path& file, const std::filesystem::path& out,
                     const PruneRequest& request, Crew& crew) {
  if (request.mending.calibrate_biases || request.mending.form == MendingOptions::Form::kClosed) {
    throw ConfigError("prune corrects with --renorm reset, repair or rescale, together or sequential; the rest is for merged networks");
  }
  if (!crew.leads()) return nullptr;
  Workshop shop(config);
  const std::vector<models::StateDict> dense{models::ReadState(file)};
  const auto score = [&] { return AsJson(Evaluate(*shop.model, shop.bench, shop.dataset->test)); };
  base::Json report{{"input", file.string()},
                    {"sparsity", request.sparsity},
                    {"scope", request.scope == merge::PruneScope::kGlobal ? "global" : "layer"}};
  shop.Load(dense[0], file.string());
  report["dense_test"] = score();
  report["layers"] = LayersAsJson(merge::PruneByMagnitude(models::StateOf(*shop.model), request.sparsity, request.scope), report);
  report["pruned_test"] = score();
  Mender mender(request.mending, shop, dense);
  report["mending"] = AsJson(mender.options(), mender.samples());
  if (mender.options().renorm != request.mending.renorm) WarnOfIdleReset();
  if (request.mending.any()) {
    const double temperature = mender.Mend(*shop.model, std::vector<size_t>{0}, std::vector{1.0});
    if (request.mending.temperature) report["temperature"] = temperature;
  }
  models::SaveState(out, models::CloneState(models::StateOf(*shop.model)));
  report["test"] = score();
  base::WriteJson(out.string() + ".json", report);
  return report;
}

}  // namespace basin::trainer
