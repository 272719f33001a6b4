// A run directory without a run: records and results that are made up, as large and as strange as a test wants them.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include "base/files.h"
#include "base/json.h"

namespace basin::test {

struct MadeRun {
  std::string name = "made";
  std::string strategy = "wash";
  int64_t members = 3;
  int64_t steps = 40;
  int64_t evaluate_every = 10;
  double average = 0.92;  ///< test accuracy; the ensemble has 0.93, the mean member 0.90, of 2000 images
  bool finished = true;

  /// result.json (when finished), metrics.jsonl, lmc.csv and config.yaml.
  void Write(const std::filesystem::path& dir) const {
    std::filesystem::create_directories(dir);
    base::WriteFileAtomically(dir / "metrics.jsonl", Metrics());
    base::WriteFileAtomically(dir / "config.yaml", "run: {name: '" + name + "'}\n");
    if (!finished) return;
    base::WriteFileAtomically(dir / "lmc.csv", Paths());
    base::WriteJson(dir / "result.json", Result());
  }

  base::Json Result() const {
    base::Json result{{"format", 1},
                      {"config_hash", "0123456789abcdef"},
                      {"name", name},
                      {"seed", 1},
                      {"members", members},
                      {"strategy", strategy},
                      {"model", "convnet"},
                      {"data", {{"name", "shapes"}, {"train", 8000}, {"test", 2000}}},
                      {"backend", "in_process"},
                      {"versions", {{"basin", "0.1.0"}, {"libtorch", "2.11.0"}}},
                      {"steps", steps}};
    for (int64_t m = 0; m < members; ++m) {
      result["member"].push_back({{"id", m}, {"test_loss", 0.3}, {"test_accuracy", 0.90 + 0.001 * static_cast<double>(m - members / 2)}});
      for (int64_t b = m + 1; b < members; ++b) {
        for (const char* renorm : {"none", "reset"}) {
          result["lmc"].push_back({{"a", m},
                                   {"b", b},
                                   {"split", "test"},
                                   {"renorm", renorm},
                                   {"barrier_max_mean", 0.1},
                                   {"barrier_linear", 0.02 * static_cast<double>(b)},
                                   {"barrier_mid", 0.1}});
        }
      }
    }
    result.update({{"mean_member", {{"test_accuracy", 0.90}, {"test_loss", 0.3}}},
                   {"ensemble", {{"test_accuracy", 0.93}, {"test_loss", 0.2}}},
                   {"average", {{"test_accuracy", average}, {"test_loss", 0.25}, {"recalibrated", true}}},
                   {"average_raw", {{"test_accuracy", average - 0.1}, {"test_loss", 0.5}}},
                   {"soup", {{"test_accuracy", average}, {"test_loss", 0.25}, {"chosen", {0, 1}}}},
                   {"distance", {{"consensus_squared", 2.5}}},
                   {"bytes",
                    {{"payload_per_rank", 1000 * steps},
                     {"predicted_per_rank", 1001.0 * static_cast<double>(steps)},
                     {"predicted_stddev", 40.0},
                     {"messages_per_rank", 2 * steps},
                     {"predicted_messages_per_rank", 2 * steps},
                     {"exchanges", steps}}},
                   {"seconds", {{"train", 6.0}, {"exchange", 2.0}, {"evaluate", 1.5}, {"total", 10.0}}}});
    return result;
  }

 private:
  std::string Metrics() const {
    std::string lines;
    for (int64_t s = 0; s < steps; ++s) {
      const double share = static_cast<double>(s) / static_cast<double>(steps);
      for (int64_t m = 0; m < members; ++m) {
        const auto add = [&](const char* kind, const base::Json& fields) {
          base::Json record{{"kind", kind}, {"time", 1.7e9 + 0.01 * static_cast<double>(s)}, {"step", s}, {"epoch", 0}, {"member", m}};
          record.update(fields);
          lines += record.dump(-1, ' ', false, base::Json::error_handler_t::replace) + '\n';
        };
        const double wave = std::sin(static_cast<double>(7 * s + 3 * m));
        add("step", {{"lr", 0.3 * (1 - share)}, {"loss", 2.3 * std::exp(-3 * share) * (1 + 0.2 * wave)}});
        add("exchange", {{"bytes", 1000}, {"messages", 2}, {"seconds", 0.002 + 0.001 * wave}});
        if ((s + 1) % evaluate_every != 0) continue;
        add("eval", {{"split", "test"}, {"loss", 1 - 0.7 * share}, {"accuracy", 0.5 + 0.4 * share + 0.005 * wave}});
        if (m == 0) add("population", {{"members", members}, {"consensus_squared", 4 - 1.5 * share}});
        if (m == 0 && 2 * (s + 1) == steps) add("event", {{"event", "note"}, {"text", name}});
      }
    }
    return lines;
  }

  std::string Paths() const {
    std::string csv = "a,b,lambda,split,loss,accuracy,renorm\n";
    for (int64_t a = 0; a < members; ++a) {
      for (int64_t b = a + 1; b < members; ++b) {
        for (const char* renorm : {"none", "reset"}) {
          for (int k = 0; k <= 10; ++k) {
            const double bump = k * (10 - k) / 25.0 * (renorm[0] == 'n' ? 1 : 0.05);
            csv += std::to_string(a) + ',' + std::to_string(b) + ',' + std::to_string(k / 10.0) + ",test," + std::to_string(0.3 + bump) +
                   ',' + std::to_string(0.9 - 0.3 * bump) + ',' + renorm + '\n';
          }
        }
      }
    }
    return csv;
  }
};

}  // namespace basin::test
