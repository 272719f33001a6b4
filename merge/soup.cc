#include "merge/soup.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "merge/average.h"

namespace basin::merge {
namespace {

/// Indices by descending score, ties by index; a score that is not a number comes last.
std::vector<int64_t> Ranked(std::vector<double> scores) {
  for (double& score : scores) {
    if (std::isnan(score)) score = -std::numeric_limits<double>::infinity();
  }
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  return order;
}

models::StateDict AverageOf(std::span<const models::StateDict> states, const std::vector<int64_t>& chosen) {
  std::vector<models::StateDict> picked;
  for (const int64_t index : chosen) picked.push_back(states[index]);  // handles, not copies
  return AverageStates(picked);
}

}  // namespace

Soup GreedySoup(std::span<const models::StateDict> states, const std::function<double(models::StateDict&)>& score) {
  if (states.empty()) throw ConfigError("there is no network to make a soup of; give at least one");
  std::vector<double> scores;
  Soup soup;
  for (const models::StateDict& state : states) {
    models::StateDict copy = models::CloneState(state);
    const double single = score(copy);
    if (scores.empty() || single > soup.score || std::isnan(soup.score)) {
      soup = {std::move(copy), {static_cast<int64_t>(scores.size())}, single};
    }
    scores.push_back(single);
  }
  const std::vector<int64_t> order = Ranked(scores);
  for (size_t next = 1; next < order.size(); ++next) {
    std::vector<int64_t> chosen = soup.chosen;
    chosen.push_back(order[next]);
    models::StateDict candidate = AverageOf(states, chosen);
    const double candidate_score = score(candidate);
    if (candidate_score >= soup.score) soup = {std::move(candidate), std::move(chosen), candidate_score};
  }
  return soup;
}

}  // namespace basin::merge
