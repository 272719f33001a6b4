// Chi-square tests with fixed seeds: a correct generator exceeds the limit with probability 1e-6.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace basin::test {

/// Pearson's statistic: sum of (count - expected)^2 / expected.
inline double ChiSquare(std::span<const double> counts, std::span<const double> expected) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    sum += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i];
  }
  return sum;
}

/// The same, all outcomes equally likely.
inline double ChiSquareUniform(std::span<const double> counts) {
  double total = 0, sum = 0;
  for (double count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  for (double count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

/// Exceeded with probability about 1e-6 (4.753 standard deviations of a normal) when all is well;
/// Wilson and Hilferty 1931, a little too wide for very few degrees of freedom.
inline double ChiSquareLimit(double degrees) {
  const double spread = 2 / (9 * degrees);
  return degrees * std::pow(1 - spread + 4.753 * std::sqrt(spread), 3);
}

/// Standard deviation of a binomial count.
inline double BinomialSpread(double n, double p) { return std::sqrt(n * p * (1 - p)); }

}  // namespace basin::test
