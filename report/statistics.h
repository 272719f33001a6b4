// What a few repeated runs say: mean and spread, whether two settings differ, which settings nobody beats.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace basin::report {

/// Of a sample. sd is the sample standard deviation (divisor n - 1), 0 for fewer than two values.
struct Summary {
  size_t count = 0;
  double mean = 0, sd = 0;
};
Summary Summarise(std::span<const double> values);

/// P(|T| >= |t|) for Student's t with `degrees` > 0 degrees of freedom (need not be whole): the regularised incomplete beta function
/// I_x(degrees / 2, 1 / 2) at x = degrees / (degrees + t^2), by its continued fraction (DLMF 8.17.22). t may be infinite; relative
/// error below 1e-12 where the result is above 1e-300.
double StudentTwoSided(double t, double degrees);
/// The t >= 0 with P(|T| < t) = confidence, in (0, 1), by bisection to the last bits.
double StudentQuantile(double confidence, double degrees);

/// Two-sided test of equal means. All values are finite.
struct Comparison {
  enum class Test { kPaired, kWelch } test = Test::kWelch;
  double difference = 0;      ///< mean of a - mean of b
  double low = 0, high = 0;   ///< 95 % confidence interval of the difference
  double t = 0, degrees = 0;
  double p = 1;
};
/// Student's t of the differences a[k] - b[k]. Nothing when there are fewer than two, or when they do not differ among themselves: then
/// there is no spread to measure the difference by.
std::optional<Comparison> ComparePaired(std::span<const double> a, std::span<const double> b);
/// Welch's t with Welch and Satterthwaite's degrees of freedom. Nothing when a sample has fewer than two values or neither has a spread.
std::optional<Comparison> CompareWelch(std::span<const double> a, std::span<const double> b);
std::string_view TestName(Comparison::Test test);  ///< "paired t" | "Welch t"

/// Holm's step-down adjustment (1979) of p-values that were looked at together; in the order given.
std::vector<double> HolmAdjusted(std::span<const double> p);

struct Purchase {
  double cost = 0, value = 0;
};
/// The numbers of those that no other beats: none is at most as dear and at least as good, and better in one of the two. By rising cost.
std::vector<size_t> ParetoFront(std::span<const Purchase> purchases);

}  // namespace basin::report
