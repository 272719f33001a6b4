// What the activations say: signs of collapse.
#include "base/error.h"
#include "merge/average.h"
#include "merge/collapse.h"
#include "trainer/laboratory/analysis.h"
#include "trainer/numbers.h"

namespace basin::trainer {
namespace {

/// One network in the comparison. The first two are the parents.
struct Subject {
  std::string name;  // "a", "b", "merged", "mended"
  merge::Activity activity;
};

using LayerField = double merge::LayerActivity::*;
using ReluField = double merge::ReluActivity::*;
constexpr std::pair<const char*, LayerField> kLayerFields[] = {{"variance", &merge::LayerActivity::variance},
                                                               {"feature", &merge::LayerActivity::feature},
                                                               {"weight", &merge::LayerActivity::weight},
                                                               {"bias", &merge::LayerActivity::bias}};
constexpr std::pair<const char*, ReluField> kReluFields[] = {{"magnitude", &merge::ReluActivity::magnitude},
                                                             {"spread", &merge::ReluActivity::spread},
                                                             {"sparsity", &merge::ReluActivity::sparsity}};

std::vector<double> Column(const Subject& subject, LayerField field) {
  std::vector<double> column;
  for (const auto& layer : subject.activity.layers) column.push_back(layer.*field);
  return column;
}

/// {"variance_ratio", "feature_ratio"} of every merged subject, beside what is measured of each subject.
base::Json LayersAsJson(const std::vector<Subject>& subjects, const std::vector<torch::Tensor>& correlation) {
  base::Json layers = base::Json::array();
  for (size_t i = 0; i < subjects[0].activity.layers.size(); ++i) {
    base::Json entry{{"name", subjects[0].activity.layers[i].name}};
    for (const auto& [name, field] : kLayerFields) {
      for (const Subject& subject : subjects) entry[std::string(name) + '_' + subject.name] = subject.activity.layers[i].*field;
    }
    // The classifier has no correlation: it is never renormalised.
    entry["correlation"] = i < correlation.size() ? base::Json(correlation[i].mean().item<double>()) : base::Json(nullptr);
    layers.push_back(std::move(entry));
  }
  for (const auto& [name, field] : {kLayerFields[0], kLayerFields[1]}) {
    const std::vector parents{Column(subjects[0], field), Column(subjects[1], field)};
    for (size_t s = 2; s < subjects.size(); ++s) {
      const auto ratio = merge::RatioToParents(Column(subjects[s], field), parents);
      for (size_t i = 0; i < ratio.size(); ++i) layers[i][std::string(name) + "_ratio_" + subjects[s].name] = ratio[i];
    }
  }
  return layers;
}

base::Json RelusAsJson(const std::vector<Subject>& subjects) {
  base::Json relus = base::Json::array();
  for (size_t i = 0; i < subjects[0].activity.relus.size(); ++i) {
    base::Json entry{{"after", subjects[0].activity.relus[i].after}};
    for (const auto& [name, field] : kReluFields) {
      for (const Subject& subject : subjects) entry[std::string(name) + '_' + subject.name] = subject.activity.relus[i].*field;
    }
    relus.push_back(std::move(entry));
  }
  return relus;
}

/// kind,name,measure,value: a row a number, so that layers and ReLUs share one table.
std::string AsCsv(const base::Json& layers, const base::Json& relus) {
  std::string csv = "kind,name,measure,value\n";
  const auto add = [&](const char* kind, const base::Json& entries, const char* key) {
    for (const base::Json& entry : entries) {
      for (const auto& [measure, value] : entry.items()) {
        if (!value.is_number()) continue;
        csv += std::string(kind) + ',' + entry[key].get<std::string>() + ',' + measure + ',' + Number(value.get<double>()) + '\n';
      }
    }
  };
  add("layer", layers, "name");
  add("relu", relus, "after");
  return csv;
}

}  // namespace

AnalysisPart AnalyzeCollapse(Workshop& shop, const std::vector<models::StateDict>& networks, const MendingOptions& mending) {
  const std::vector<models::StateDict> parents(networks.begin(), networks.begin() + 2);
  const Sample sample(shop.bench, *shop.model, mending.samples);
  std::vector<Subject> subjects;
  const auto measure = [&](const std::string& name) { subjects.push_back({name, merge::MeasureActivity(*shop.model, sample.images())}); };
  for (size_t k = 0; k < 2; ++k) {
    shop.Load(parents[k], k == 0 ? "A" : "B");
    measure(k == 0 ? "a" : "b");
  }
  shop.Load(merge::AverageStates(parents), "midpoint");
  measure("merged");
  if (mending.any()) {
    Mender(mending, shop, parents).Mend(*shop.model, std::array<size_t, 2>{0, 1}, std::array{0.5, 0.5});
    measure("mended");
  }
  const auto other = MakeClassifier(shop.config, *shop.dataset);
  shop.Load(parents[0], "A");
  models::LoadState(*other, parents[1]);
  const auto correlation = merge::MeasureMatchedCorrelation(*shop.model, *other, sample.images());
  base::Json layers = LayersAsJson(subjects, correlation.layers), relus = RelusAsJson(subjects);
  std::string csv = AsCsv(layers, relus);
  return {"collapse",
          {{"images", sample.size()}, {"lambda", 0.5}, {"mending", AsJson(mending, sample.size())}, {"layers", std::move(layers)}, {"relus", std::move(relus)}},
          std::move(csv)};
}

}  // namespace basin::trainer
