// What the benches share: a clock for a group of ranks, medians, and the command line.
#pragma once

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace basin::bench {

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size()))];
}
inline double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }
/// The tenth percentile: what the work costs when nothing else wants the cores.
inline double Quiet(std::vector<double> values) { return Quantile(std::move(values), 0.1); }

/// Seconds of `work` on the slowest rank, all ranks having started together.
inline double SlowestRank(const std::function<void()>& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = Now();
  work();
  double seconds = Now() - start;
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

/// "--name value" pairs; ends the program on anything else.
class Options {
 public:
  Options(int argc, char** argv, std::vector<std::string_view> names) {
    for (int i = 1; i < argc; i += 2) {
      const bool known = std::find(names.begin(), names.end(), argv[i]) != names.end();
      if (!known || i + 1 == argc) {
        std::fprintf(stderr, "%s: unknown option or missing value: %s; allowed:", argv[0], argv[i]);
        for (std::string_view name : names)
          std::fprintf(stderr, " %s VALUE", std::string(name).c_str());
        std::fprintf(stderr, "\n");
        std::exit(2);
      }
      pairs_.emplace_back(argv[i], argv[i + 1]);
    }
  }
  std::string Get(std::string_view name, std::string fallback) const {
    for (const auto& [key, value] : pairs_) {
      if (key == name) fallback = value;
    }
    return fallback;
  }
  std::vector<double> Numbers(std::string_view name, const std::string& fallback) const {
    std::istringstream list(Get(name, fallback));
    std::vector<double> numbers;
    for (std::string item; std::getline(list, item, ',');) numbers.push_back(std::stod(item));
    return numbers;
  }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace basin::bench
