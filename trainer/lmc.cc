#include "trainer/lmc.h"

#include "trainer/numbers.h"
#include "trainer/population.h"

namespace basin::trainer {
namespace {

struct SplitChoice {
  std::string name;
  const data::Split* split;
  int64_t limit;
};

std::vector<SplitChoice> ChooseSplits(const LmcOptions& options, const data::Dataset& dataset) {
  std::vector<SplitChoice> splits;
  if (options.train) splits.push_back({"train", &dataset.train, options.train_limit});
  if (options.test) splits.push_back({"test", &dataset.test, -1});
  return splits;
}

/// An even number of points leaves 1/2 out.
std::vector<double> WithTheMiddle(std::vector<double> lambdas) {
  if (lambdas.size() % 2 == 0) lambdas.insert(lambdas.begin() + std::ssize(lambdas) / 2, 0.5);
  return lambdas;
}

/// What is measured: first every network as it is (the ends of its paths), then every interior point of every pair. Each gives loss
/// and accuracy for [renorm][split].
class PathTasks {
 public:
  PathTasks(const std::vector<models::StateDict>& networks, const std::vector<std::pair<int64_t, int64_t>>& pairs,
            const LmcOptions& options, const Bench& bench, models::Classifier& model, const std::vector<PathMending>& mendings)
      : networks_(networks),
        pairs_(pairs),
        bench_(bench),
        model_(model),
        lambdas_(WithTheMiddle(merge::Lambdas(options.points))),
        drops_middle_(std::ssize(lambdas_) > options.points),
        splits_(ChooseSplits(options, bench.dataset)) {
    renorms_.insert(renorms_.end(), mendings.begin(), mendings.end());
  }

  int64_t count() const { return num_networks() + std::ssize(pairs_) * interior(); }
  int64_t num_values() const { return 2 * std::ssize(renorms_) * std::ssize(splits_); }

  std::vector<double> Measure(int64_t task) const {
    const bool is_end = task < num_networks();
    const int64_t point = task - num_networks();
    const auto [a, b] = is_end ? std::pair{task, task} : pairs_[point / interior()];
    const double lambda = is_end ? 0 : lambdas_[point % interior() + 1];
    models::StateDict blend;
    if (!is_end) blend = merge::Interpolate(networks_[a], networks_[b], lambda);
    std::vector<double> values;
    for (const PathMending& renorm : renorms_) {
      models::LoadState(model_, is_end ? networks_[a] : blend);
      if (!is_end && renorm.mend) renorm.mend(model_, a, b, lambda);
      for (const SplitChoice& split : splits_) {
        const Score score = Evaluate(model_, bench_, *split.split, split.limit);
        values.insert(values.end(), {score.loss, score.accuracy});
      }
    }
    return values;
  }

  std::vector<PairCurve> Curves(const std::vector<std::vector<double>>& results) const {
    std::vector<PairCurve> curves;
    for (size_t pair = 0; pair < pairs_.size(); ++pair) {
      for (size_t split = 0; split < splits_.size(); ++split) {
        for (size_t renorm = 0; renorm < renorms_.size(); ++renorm) {
          PairCurve curve{.a = pairs_[pair].first, .b = pairs_[pair].second, .split = splits_[split].name, .renorm = renorms_[renorm].name};
          for (size_t k = 0; k < lambdas_.size(); ++k) {
            const double* score = &results.at(TaskAt(pair, k))[2 * (renorm * splits_.size() + split)];
            curve.points.push_back({lambdas_[k], score[0], score[1]});
          }
          const double mid = merge::MeasureBarriers(curve.points).mid;
          if (drops_middle_) curve.points.erase(curve.points.begin() + std::ssize(lambdas_) / 2);
          curve.barriers = merge::MeasureBarriers(curve.points);
          curve.barriers.mid = mid;
          curves.push_back(std::move(curve));
        }
      }
    }
    return curves;
  }

 private:
  int64_t num_networks() const { return std::ssize(networks_); }
  int64_t interior() const { return std::ssize(lambdas_) - 2; }
  /// The task of point k of a pair's path.
  int64_t TaskAt(size_t pair, size_t k) const {
    if (k == 0) return pairs_[pair].first;
    if (k + 1 == lambdas_.size()) return pairs_[pair].second;
    return num_networks() + static_cast<int64_t>(pair) * interior() + static_cast<int64_t>(k) - 1;
  }

  const std::vector<models::StateDict>& networks_;
  const std::vector<std::pair<int64_t, int64_t>>& pairs_;
  const Bench& bench_;
  models::Classifier& model_;
  const std::vector<double> lambdas_;  // with 1/2, which B3 asks for
  const bool drops_middle_;            // it is no point of the curve
  const std::vector<SplitChoice> splits_;
  std::vector<PathMending> renorms_{{"none", {}}};
};

}  // namespace

std::vector<std::pair<int64_t, int64_t>> ChoosePairs(LmcOptions::Pairs pairs, int64_t members) {
  std::vector<std::pair<int64_t, int64_t>> chosen;
  if (pairs == LmcOptions::Pairs::kNone) return chosen;
  const int64_t last_a = pairs == LmcOptions::Pairs::kFirst ? 1 : members;
  for (int64_t a = 0; a < last_a; ++a) {
    for (int64_t b = a + 1; b < members; ++b) chosen.emplace_back(a, b);
  }
  return chosen;
}

TaskShare ByRank(comm::Communicator& comm) {
  return [&comm](int64_t count, int64_t values, const Task& task) {
    torch::Tensor table = torch::zeros({count, values}, torch::kFloat64);
    for (int64_t t = comm.rank(); t < count; t += comm.size()) table[t].copy_(torch::tensor(at::ArrayRef<double>(task(t)), torch::kFloat64));
    // Exactly one rank holds a non-zero row, so the sum is that row bit for bit.
    table = SumOverRanks(table, comm);
    std::vector<std::vector<double>> results;
    for (int64_t t = 0; t < count; ++t) {
      const double* row = table.const_data_ptr<double>() + t * values;
      results.emplace_back(row, row + values);
    }
    return results;
  };
}

std::vector<PairCurve> MeasurePairs(const std::vector<models::StateDict>& networks,
                                    const std::vector<std::pair<int64_t, int64_t>>& pairs, const LmcOptions& options,
                                    const Bench& bench, models::Classifier& model, const TaskShare& share,
                                    const std::vector<PathMending>& mendings) {
  if (pairs.empty()) return {};
  const PathTasks tasks(networks, pairs, options, bench, model, mendings);
  return tasks.Curves(share(tasks.count(), tasks.num_values(), [&](int64_t task) { return tasks.Measure(task); }));
}

std::vector<PairCurve> MeasurePairs(const std::vector<models::StateDict>& networks,
                                    const std::vector<std::pair<int64_t, int64_t>>& pairs, const LmcOptions& options,
                                    const Bench& bench, models::Classifier& model, const TaskShare& share) {
  return MeasurePairs(networks, pairs, options, bench, model, share, ResetWhereNormed(model, bench));
}

std::vector<PathMending> ResetWhereNormed(const models::Classifier& model, const Bench& bench) {
  if (!models::HasBatchNorm(model)) return {};
  return {{"reset", [&bench](models::Classifier& merged, int64_t, int64_t, double) { Recalibrate(merged, bench); }}};
}

std::string CurvesAsCsv(const std::vector<PairCurve>& curves) {
  std::string csv = "a,b,lambda,split,loss,accuracy,renorm\n";
  for (const PairCurve& curve : curves) {
    for (const merge::PathPoint& point : curve.points) {
      csv += std::to_string(curve.a) + ',' + std::to_string(curve.b) + ',' + Number(point.lambda) + ',' + curve.split +
             ',' + Number(point.loss) + ',' + Number(point.accuracy) + ',' + curve.renorm + '\n';
    }
  }
  return csv;
}

base::Json BarriersAsJson(const std::vector<PairCurve>& curves) {
  base::Json entries = base::Json::array();
  for (const PairCurve& curve : curves) {
    entries.push_back({{"a", curve.a},
                       {"b", curve.b},
                       {"split", curve.split},
                       {"renorm", curve.renorm},
                       {"barrier_max_mean", curve.barriers.max_mean},
                       {"barrier_linear", curve.barriers.linear},
                       {"barrier_mid", curve.barriers.mid},
                       {"barrier_accuracy", curve.barriers.accuracy_max_mean}});
  }
  return entries;
}

}  // namespace basin::trainer
