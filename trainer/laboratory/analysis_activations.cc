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
base::Json LayersAsJson(const std::vector<Subject>& subjects, const std::vector<double>& correlation) {
  base::Json layers = base::Json::array();
  for (size_t i = 0; i < subjects[0].activity.layers.size(); ++i) {
    base::Json entry{{"name", subjects[0].activity.layers[i].name}};
    for (const auto& [name, field] : kLayerFields) {
      for (const Subject& subject : subjects) entry[std::string(name) + '_' + subject.name] = subject.activity.layers[i].*field;
    }
    entry["correlation"] = i < correlation.size() ? base::Json(correlation[i]) : base::Json(nullptr);
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

std::vector<double> NumbersOf(const merge::Activity& activity) {
  std::vector<double> numbers;
  for (const auto& layer : activity.layers) {
    for (const auto& [name, field] : kLayerFields) numbers.push_back(layer.*field);
  }
  for (const auto& relu : activity.relus) {
    for (const auto& [name, field] : kReluFields) numbers.push_back(relu.*field);
  }
  return numbers;
}

/// The other way; layers and ReLUs are those of `like`.
merge::Activity ActivityOf(const std::vector<double>& numbers, merge::Activity like) {
  size_t at = 0;
  for (auto& layer : like.layers) {
    for (const auto& [name, field] : kLayerFields) layer.*field = numbers.at(at++);
  }
  for (auto& relu : like.relus) {
    for (const auto& [name, field] : kReluFields) relu.*field = numbers.at(at++);
  }
  return like;
}

/// The work of AnalyzeCollapse: what is measured of one network, each a task that leaves nothing behind.
class CollapseTasks {
 public:
  CollapseTasks(Workshop& shop, const std::vector<models::StateDict>& networks, const MendingOptions& mending)
      : shop_(shop), parents_(networks.begin(), networks.begin() + 2), mending_(mending), sample_(shop.bench, *shop.model, mending.samples) {}

  int64_t images() const { return sample_.size(); }
  merge::Activity Parent(size_t k) {
    shop_.Load(parents_[k], k == 0 ? "A" : "B");
    return Measure();
  }
  merge::Activity Merged() {
    shop_.Load(merge::AverageStates(parents_), "midpoint");
    return Measure();
  }
  merge::Activity Mended() {
    shop_.Load(merge::AverageStates(parents_), "midpoint");
    Mender(mending_, shop_, parents_).Mend(*shop_.model, std::array<size_t, 2>{0, 1}, std::array{0.5, 0.5});
    return Measure();
  }
  /// Of each layer but the classifier.
  std::vector<double> Correlation() {
    const auto other = MakeClassifier(shop_.config, *shop_.dataset);
    shop_.Load(parents_[0], "A");
    models::LoadState(*other, parents_[1]);
    std::vector<double> means;
    for (const torch::Tensor& layer : merge::MeasureMatchedCorrelation(*shop_.model, *other, sample_.images()).layers) {
      means.push_back(layer.mean().item<double>());
    }
    return means;
  }

 private:
  merge::Activity Measure() { return merge::MeasureActivity(*shop_.model, sample_.images()); }

  Workshop& shop_;
  const std::vector<models::StateDict> parents_;
  const MendingOptions& mending_;
  const Sample sample_;
};

}  // namespace

AnalysisPart AnalyzeCollapse(Workshop& shop, const std::vector<models::StateDict>& networks, const MendingOptions& mending, const TaskShare& share) {
  CollapseTasks tasks(shop, networks, mending);
  // Every rank looks at the first network itself, which tells it the names of layers and ReLUs.
  std::vector<Subject> subjects{{"a", tasks.Parent(0)}};
  const merge::Activity like = subjects[0].activity;
  const int64_t length = std::max<int64_t>(1, std::ssize(NumbersOf(like)));
  std::vector<std::function<std::vector<double>()>> work;
  if (mending.any()) work.emplace_back([&] { return NumbersOf(tasks.Mended()); });  // the longest first
  work.emplace_back([&] { return tasks.Correlation(); });
  work.emplace_back([&] { return NumbersOf(tasks.Merged()); });
  work.emplace_back([&] { return NumbersOf(tasks.Parent(1)); });
  auto found = share(std::ssize(work), length, [&](int64_t task) {
    std::vector<double> numbers = work[task]();
    numbers.resize(length, 0);
    return numbers;
  });
  const auto take = [&] {
    const std::vector<double> numbers = std::move(found.back());
    found.pop_back();
    return numbers;
  };
  subjects.push_back({"b", ActivityOf(take(), like)});
  subjects.push_back({"merged", ActivityOf(take(), like)});
  std::vector<double> correlation = take();
  correlation.resize(like.layers.size() - 1);  // the classifier has none: it is never renormalised
  if (mending.any()) subjects.push_back({"mended", ActivityOf(take(), like)});
  base::Json layers = LayersAsJson(subjects, correlation), relus = RelusAsJson(subjects);
  std::string csv = AsCsv(layers, relus);
  return {"collapse",
          {{"images", tasks.images()}, {"lambda", 0.5}, {"mending", AsJson(mending, tasks.images())}, {"layers", std::move(layers)}, {"relus", std::move(relus)}},
          std::move(csv)};
}

}  // namespace basin::trainer
