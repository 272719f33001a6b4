#include "trainer/lmc.h"

#include <charconv>

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

/// Scores of all networks on the paths: [renorm][split][2] for each task, filled by the rank that owns the task.
class PathScores {
 public:
  PathScores(int64_t tasks, int64_t renorms, int64_t splits)
      : table_(torch::zeros({tasks, renorms, splits, 2}, torch::kFloat64)) {}
  void Set(int64_t task, int64_t renorm, int64_t split, const Score& score) {
    auto row = table_.accessor<double, 4>();
    row[task][renorm][split][0] = score.loss;
    row[task][renorm][split][1] = score.accuracy;
  }
  Score Get(int64_t task, int64_t renorm, int64_t split) const {
    const auto row = table_.accessor<double, 4>();
    return {row[task][renorm][split][0], row[task][renorm][split][1]};
  }
  // Exactly one rank holds a non-zero row, so the sum is that row bit for bit.
  void Share(comm::Communicator& comm) { table_ = SumOverRanks(table_, comm); }

 private:
  torch::Tensor table_;
};

std::string Number(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

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

std::vector<PairCurve> MeasurePairs(const std::vector<models::StateDict>& networks,
                                    const std::vector<std::pair<int64_t, int64_t>>& pairs, const LmcOptions& options,
                                    const Bench& bench, models::Classifier& model, comm::Communicator& comm) {
  if (pairs.empty()) return {};
  const std::vector<double> lambdas = merge::Lambdas(options.points);
  const std::vector<SplitChoice> splits = ChooseSplits(options, bench.dataset);
  const int64_t num_networks = static_cast<int64_t>(networks.size()), interior = options.points - 2;
  const std::vector<std::string> renorms =
      models::HasBatchNorm(model) ? std::vector<std::string>{"none", "reset"} : std::vector<std::string>{"none"};
  const int64_t num_renorms = static_cast<int64_t>(renorms.size()), num_splits = static_cast<int64_t>(splits.size());

  // Tasks: first every network as it is (the ends of its paths), then every interior point of every pair.
  const int64_t tasks = num_networks + static_cast<int64_t>(pairs.size()) * interior;
  PathScores scores(tasks, num_renorms, num_splits);
  for (int64_t task = comm.rank(); task < tasks; task += comm.size()) {
    const bool is_end = task < num_networks;
    if (is_end) {
      models::LoadState(model, networks[task]);
    } else {
      const auto& [a, b] = pairs[(task - num_networks) / interior];
      models::LoadState(model, merge::Interpolate(networks[a], networks[b], lambdas[(task - num_networks) % interior + 1]));
    }
    for (int64_t r = 0; r < num_renorms; ++r) {
      if (renorms[r] == "reset" && !is_end) Recalibrate(model, bench);
      for (int64_t s = 0; s < num_splits; ++s) {
        scores.Set(task, r, s, Evaluate(model, bench, *splits[s].split, splits[s].limit));
      }
    }
  }
  scores.Share(comm);

  std::vector<PairCurve> curves;
  for (size_t p = 0; p < pairs.size(); ++p) {
    for (int64_t s = 0; s < num_splits; ++s) {
      for (int64_t r = 0; r < num_renorms; ++r) {
        PairCurve curve{.a = pairs[p].first, .b = pairs[p].second, .split = splits[s].name, .renorm = renorms[r]};
        for (int64_t k = 0; k < options.points; ++k) {
          const int64_t task = k == 0                    ? curve.a
                               : k == options.points - 1 ? curve.b
                                                         : num_networks + static_cast<int64_t>(p) * interior + k - 1;
          const Score score = scores.Get(task, r, s);
          curve.points.push_back({lambdas[k], score.loss, score.accuracy});
        }
        curve.barriers = merge::MeasureBarriers(curve.points);
        curves.push_back(std::move(curve));
      }
    }
  }
  return curves;
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
