#include "report/sweep_summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"

namespace basin::report {
namespace {

using base::Json;
constexpr double kSignificant = 0.05;

std::vector<double> Values(const SweepSetting& setting, double SeedResult::*field) {
  std::vector<double> values;
  for (const SeedResult& result : setting.results) values.push_back(result.*field);
  return values;
}

std::map<int64_t, double> BySeed(const SweepSetting& setting) {
  std::map<int64_t, double> accuracy;
  for (const SeedResult& result : setting.results) accuracy[result.seed] = result.accuracy;
  return accuracy;
}

/// Groups in order of appearance; in each the settings by rising bytes.
std::vector<std::vector<size_t>> Grouped(const std::vector<SweepSetting>& settings, const std::vector<Summary>& bytes) {
  std::vector<std::string> names;
  std::vector<std::vector<size_t>> groups;
  for (size_t k = 0; k < settings.size(); ++k) {
    const auto place = static_cast<size_t>(std::find(names.begin(), names.end(), settings[k].group) - names.begin());
    if (place == names.size()) {
      names.push_back(settings[k].group);
      groups.emplace_back();
    }
    groups[place].push_back(k);
  }
  for (auto& group : groups) std::ranges::stable_sort(group, {}, [&](size_t k) { return bytes[k].mean; });
  return groups;
}

std::vector<SweepLevel> LevelsOf(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  std::vector<SweepLevel> levels;
  for (const auto& group : Grouped(settings, summary.bytes)) {
    double cheapest = -1;
    for (const size_t k : group) {
      const double bytes = summary.bytes[k].mean;
      if (cheapest < 0 || bytes > cheapest * (1 + kSameBytes)) {
        levels.push_back({.group = settings[k].group});
        cheapest = bytes;
      }
      levels.back().settings.push_back(k);
    }
  }
  for (SweepLevel& level : levels) {
    for (const size_t k : level.settings) level.bytes += summary.bytes[k].mean / static_cast<double>(level.settings.size());
    std::ranges::stable_sort(level.settings, std::greater<>(), [&](size_t k) { return summary.accuracy[k].mean; });
  }
  return levels;
}

std::optional<Comparison> Compare(const SweepSetting& a, const SweepSetting& b) {
  const auto first = BySeed(a), second = BySeed(b);
  const bool paired = std::ranges::equal(
      first, second, {}, [](const auto& entry) { return entry.first; }, [](const auto& entry) { return entry.first; });
  std::vector<double> x, y;
  for (const auto& [seed, accuracy] : first) x.push_back(accuracy);
  for (const auto& [seed, accuracy] : second) y.push_back(accuracy);
  return paired ? ComparePaired(x, y) : CompareWelch(x, y);
}

void AddComparisons(const std::vector<SweepSetting>& settings, SweepSummary& summary) {
  std::vector<double> p;
  for (size_t l = 0; l < summary.levels.size(); ++l) {
    const auto& at = summary.levels[l].settings;
    for (size_t i = 0; i < at.size(); ++i) {
      for (size_t j = i + 1; j < at.size(); ++j) {
        summary.comparisons.push_back({.level = l, .a = at[i], .b = at[j], .test = Compare(settings[at[i]], settings[at[j]])});
        if (summary.comparisons.back().test) p.push_back(summary.comparisons.back().test->p);
      }
    }
  }
  const std::vector<double> adjusted = HolmAdjusted(p);
  size_t next = 0;
  for (SweepComparison& comparison : summary.comparisons) {
    if (comparison.test) comparison.p_holm = adjusted[next++];
  }
}

void AddClose(SweepSummary& summary) {
  for (const SweepComparison& comparison : summary.comparisons) {
    SweepLevel& level = summary.levels[comparison.level];
    const bool with_best = comparison.a == level.settings.front();
    if (with_best && comparison.p_holm.value_or(1) > kSignificant) level.close.push_back(comparison.b);
  }
}

std::vector<size_t> FrontOf(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  std::vector<Purchase> purchases;
  std::vector<size_t> numbers, front;
  for (size_t k = 0; k < settings.size(); ++k) {
    if (settings[k].is_control || summary.bytes[k].mean <= 0) continue;
    purchases.push_back({.cost = summary.bytes[k].mean, .value = summary.accuracy[k].mean});
    numbers.push_back(k);
  }
  for (const size_t k : ParetoFront(purchases)) front.push_back(numbers[k]);
  return front;
}

}  // namespace

SweepSummary SummariseSweep(const std::vector<SweepSetting>& settings) {
  SweepSummary summary;
  for (const SweepSetting& setting : settings) {
    BASIN_CHECK(!setting.results.empty(), setting.name, " has no finished run");
    summary.accuracy.push_back(Summarise(Values(setting, &SeedResult::accuracy)));
    summary.bytes.push_back(Summarise(Values(setting, &SeedResult::bytes)));
  }
  summary.levels = LevelsOf(settings, summary);
  AddComparisons(settings, summary);
  AddClose(summary);
  summary.front = FrontOf(settings, summary);
  return summary;
}

Json SummaryJson(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  const auto names = [&](const std::vector<size_t>& numbers) {
    Json list = Json::array();
    for (const size_t k : numbers) list.push_back(settings[k].name);
    return list;
  };
  Json json{{"levels", Json::array()}, {"comparisons", Json::array()}, {"pareto", names(summary.front)}};
  for (const SweepLevel& level : summary.levels) {
    json["levels"].push_back({{"group", level.group},
                              {"bytes_per_rank", level.bytes},
                              {"settings", names(level.settings)},
                              {"best", settings[level.settings.front()].name},
                              {"not_told_apart", names(level.close)}});
  }
  for (const SweepComparison& comparison : summary.comparisons) {
    Json entry{{"level", comparison.level},
               {"a", settings[comparison.a].name},
               {"b", settings[comparison.b].name},
               {"difference", summary.accuracy[comparison.a].mean - summary.accuracy[comparison.b].mean}};
    if (const auto& test = comparison.test) {
      entry.update({{"low", test->low}, {"high", test->high}, {"test", TestName(test->test)}, {"t", test->t},
                    {"degrees", test->degrees}, {"p", test->p}, {"p_holm", *comparison.p_holm}});
    } else {
      entry.update({{"test", nullptr}, {"p", nullptr}, {"p_holm", nullptr}});
    }
    json["comparisons"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace basin::report
