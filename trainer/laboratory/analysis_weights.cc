// What the weights alone say: distances and singular vectors.
#include "base/error.h"
#include "merge/distance.h"
#include "merge/singular.h"
#include "trainer/laboratory/analysis.h"
#include "trainer/numbers.h"

namespace basin::trainer {

AnalysisPart AnalyzeDistance(const models::StateDict& a, const models::StateDict& b) {
  const merge::Distance distance = merge::MeasureDistance(a, b);
  base::Json layers = base::Json::array();
  std::string csv = "layer,l2,l2_squared\n";
  for (const merge::LayerDistance& layer : distance.layers) {
    const double l2 = std::sqrt(layer.l2_squared);
    layers.push_back({{"name", layer.name}, {"l2", l2}, {"l2_squared", layer.l2_squared}});
    csv += layer.name + ',' + Number(l2) + ',' + Number(layer.l2_squared) + '\n';
  }
  csv += "whole," + Number(distance.l2()) + ',' + Number(distance.l2_squared) + '\n';
  return {"distance", {{"l2", distance.l2()}, {"l2_squared", distance.l2_squared}, {"layers", std::move(layers)}}, std::move(csv)};
}

namespace {

/// All that is wanted of one layer, as a row of numbers: singular values of a and of b, then sum and count for each gamma. Rows are
/// as long as the longest layer needs.
class SingularTasks {
 public:
  SingularTasks(const models::StateDict& a, const models::StateDict& b, const std::vector<double>& gammas)
      : a_(a), b_(b), gammas_(gammas), names_(merge::WeightMatrices(a)) {
    for (const std::string& name : names_) {
      const torch::Tensor flat = models::FindTensor(a, name)->flatten(1);
      ranks_.push_back(std::min(flat.size(0), flat.size(1)));
      longest_ = std::max(longest_, ranks_.back());
    }
  }
  int64_t count() const { return std::ssize(names_); }
  int64_t num_values() const { return 2 * longest_ + 2 * std::ssize(gammas_); }

  std::vector<double> Measure(int64_t task) const {
    const auto of_a = merge::Decompose(a_, names_[task]), of_b = merge::Decompose(b_, names_[task]);
    std::vector<double> values(static_cast<size_t>(num_values()), 0);
    std::copy_n(of_a.s.const_data_ptr<double>(), of_a.s.numel(), values.begin());
    auto next = values.begin() + 2 * longest_;
    for (const double gamma : gammas_) {
      const merge::LayerAlignment layer = merge::AlignLayer(of_a, of_b, gamma);
      *next++ = layer.sum;
      *next++ = static_cast<double>(layer.counted);
    }
    std::copy_n(of_b.s.const_data_ptr<double>(), of_b.s.numel(), values.begin() + longest_);
    return values;
  }

  AnalysisPart Part(const std::vector<std::vector<double>>& results) const {
    base::Json layers = base::Json::array(), whole = base::Json::array();
    std::string csv = "layer,index,value_a,value_b\n";
    for (size_t i = 0; i < names_.size(); ++i) {
      const std::string name = merge::LayerOf(names_[i]);
      const double *of_a = results[i].data(), *of_b = of_a + longest_;
      for (int64_t k = 0; k < ranks_[i]; ++k) csv += name + ',' + std::to_string(k) + ',' + Number(of_a[k]) + ',' + Number(of_b[k]) + '\n';
      base::Json r = base::Json::array();
      for (size_t g = 0; g < gammas_.size(); ++g) r.push_back(Ratio(gammas_[g], SumOf(results[i], g), CountOf(results[i], g)));
      layers.push_back({{"name", name},
                        {"values_a", std::vector<double>(of_a, of_a + ranks_[i])},
                        {"values_b", std::vector<double>(of_b, of_b + ranks_[i])},
                        {"r", std::move(r)}});
    }
    for (size_t g = 0; g < gammas_.size(); ++g) {
      double sum = 0, count = 0;
      for (const auto& result : results) sum += SumOf(result, g), count += CountOf(result, g);
      whole.push_back(Ratio(gammas_[g], sum, count));
    }
    return {"singular", {{"layers", std::move(layers)}, {"r", std::move(whole)}}, std::move(csv)};
  }

 private:
  double SumOf(const std::vector<double>& result, size_t gamma) const { return result[2 * longest_ + 2 * gamma]; }
  double CountOf(const std::vector<double>& result, size_t gamma) const { return result[2 * longest_ + 2 * gamma + 1]; }
  static base::Json Ratio(double gamma, double sum, double count) {
    return {{"gamma", gamma}, {"value", count > 0 ? sum / count : 0}, {"counted", static_cast<int64_t>(count)}};
  }

  const models::StateDict &a_, &b_;
  const std::vector<double>& gammas_;
  const std::vector<std::string> names_;
  std::vector<int64_t> ranks_;
  int64_t longest_ = 0;
};

}  // namespace

AnalysisPart AnalyzeSingular(const models::StateDict& a, const models::StateDict& b, const std::vector<double>& gammas, const TaskShare& share) {
  for (const double gamma : gammas) {
    if (!(gamma >= 0 && gamma <= 1)) throw ConfigError(Text("--gamma ", gamma, ": a share of the largest singular value, from 0 to 1"));
  }
  const SingularTasks tasks(a, b, gammas);
  return tasks.Part(share(tasks.count(), tasks.num_values(), [&](int64_t task) { return tasks.Measure(task); }));
}

}  // namespace basin::trainer
