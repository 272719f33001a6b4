// Seconds of merge::SolveAssignment on the kinds of gains that alignment meets, best of --repeats. Without arguments a table; with
// --dump DIR the matrices are written too, and bench/peers/assignment.py times scipy on the same bytes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/seed.h"
#include "merge/assignment.h"

namespace basin {
namespace {

using Matrix = std::vector<double>;  // row-major

Matrix Normal(int64_t rows, int64_t columns, uint64_t seed) {
  base::Stream stream({seed, base::Purpose::kTest});
  Matrix values(static_cast<size_t>(rows * columns));
  for (double& value : values) value = stream.NextNormal();
  return values;
}

/// a b^T of [n, k] and [n, k].
Matrix Product(const Matrix& a, const Matrix& b, int64_t n, int64_t k) {
  Matrix bt(b.size()), product(static_cast<size_t>(n * n), 0);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t t = 0; t < k; ++t) bt[t * n + j] = b[j * k + t];
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t t = 0; t < k; ++t) {
      const double scale = a[i * k + t];
      for (int64_t j = 0; j < n; ++j) product[i * n + j] += scale * bt[t * n + j];
    }
  }
  return product;
}

constexpr int64_t kFeatures = 256;

Matrix Gaussian(int64_t n) { return Product(Normal(n, kFeatures, 1), Normal(n, kFeatures, 2), n, kFeatures); }

/// A network and one that shares a signal of .3 with it, its units shuffled.
Matrix Aligned(int64_t n) {
  const Matrix a = Normal(n, kFeatures, 1), noise = Normal(n, kFeatures, 2);
  const auto order = base::RandomPermutation(n, {3, base::Purpose::kTest});
  Matrix b(a.size());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t t = 0; t < kFeatures; ++t) b[order[i] * kFeatures + t] = 0.3 * a[i * kFeatures + t] + noise[i * kFeatures + t];
  }
  return Product(a, b, n, kFeatures);
}

/// Correlations between ReLU features of two unrelated layers over the same 256 inputs of rank 28.
Matrix Correlations(int64_t n) {
  const Matrix inputs = Normal(kFeatures, 28, 3);
  const auto features = [&](uint64_t seed) {
    const Matrix weights = Normal(n, 28, seed);
    Matrix values(static_cast<size_t>(n * kFeatures), 0);
    for (int64_t i = 0; i < n; ++i) {
      double* row = &values[static_cast<size_t>(i * kFeatures)];
      double mean = 0, square = 0;
      for (int64_t t = 0; t < kFeatures; ++t) {
        for (int64_t k = 0; k < 28; ++k) row[t] += weights[i * 28 + k] * inputs[t * 28 + k];
        row[t] = std::max(row[t], 0.0);
        mean += row[t] / kFeatures;
      }
      for (int64_t t = 0; t < kFeatures; ++t) square += (row[t] - mean) * (row[t] - mean);
      for (int64_t t = 0; t < kFeatures; ++t) row[t] = (row[t] - mean) / (std::sqrt(square) + 1e-4);
    }
    return values;
  };
  return Product(features(1), features(2), n, kFeatures);
}

Matrix RankOne(int64_t n) { return Product(Normal(n, 1, 1), Normal(n, 1, 2), n, 1); }
Matrix LowRank(int64_t n) { return Product(Normal(n, 28, 1), Normal(n, 28, 2), n, 28); }

struct Options {
  std::vector<int64_t> sizes{512, 1024, 2048, 4096};
  int repeats = 3;
  std::string dump;
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw ConfigError(name + " needs a value");
    if (name == "--n") {
      options.sizes = {std::stoll(argv[i + 1])};
    } else if (name == "--repeats") {
      options.repeats = std::stoi(argv[i + 1]);
    } else if (name == "--dump") {
      options.dump = argv[i + 1];
    } else {
      throw ConfigError(name + " is not known; allowed: --n --repeats --dump");
    }
  }
  return options;
}

void Measure(const std::string& kind, const Matrix& gains, int64_t n, const Options& options) {
  const base::SystemClock clock;
  double best = std::numeric_limits<double>::infinity(), total = 0;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const base::Stopwatch watch(clock);
    const auto columns = merge::MaximiseAssignment(gains, n);
    best = std::min(best, watch.Seconds());
    total = 0;
    for (int64_t i = 0; i < n; ++i) total += gains[i * n + columns[i]];
  }
  if (!options.dump.empty()) {
    std::ofstream file(options.dump + "/" + kind + "_" + std::to_string(n) + ".f64", std::ios::binary);
    file.write(reinterpret_cast<const char*>(gains.data()), static_cast<std::streamsize>(gains.size() * sizeof(double)));
  }
  std::cout << base::Json{{"who", "basin"}, {"kind", kind}, {"n", n}, {"seconds", best}, {"total", total}}.dump() << std::endl;
}

void Run(const Options& options) {
  const std::vector<std::pair<std::string, std::function<Matrix(int64_t)>>> kinds{
      {"gaussian", Gaussian}, {"aligned", Aligned}, {"rank28", LowRank}, {"correlations", Correlations}, {"rank1", RankOne}};
  for (const int64_t n : options.sizes) {
    for (const auto& [kind, make] : kinds) Measure(kind, make(n), n, options);
  }
}

}  // namespace
}  // namespace basin

int main(int argc, char** argv) {
  try {
    basin::Run(basin::Parse(argc, argv));
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << '\n';
    return 2;
  }
}
