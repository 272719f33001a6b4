#include "merge/soup.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "merge/average.h"

namespace basin::merge {
namespace {

/// Any score is better than one that is not a number.
bool IsBetter(double a, double b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

/// Indices from the best score down, ties by index.
std::vector<int64_t> Ranked(const std::vector<double>& scores) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return IsBetter(scores[a], scores[b]); });
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
    if (scores.empty() || IsBetter(single, soup.score)) {
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
