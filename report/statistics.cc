#include "report/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace basin::report {
namespace {

/// The continued fraction of the incomplete beta function by Lentz's method as Thompson and Barnett gave it; converges fast for
/// x < (a + 1) / (a + b + 2).
double BetaFraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300, kEnough = 1e-16;
  constexpr int kMostTerms = 10'000;
  double c = 1, d = 1 / std::max(1 - (a + b) * x / (a + 1), kTiny), fraction = d;
  for (int m = 1; m <= kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double step = 1;
    for (const double term : {even, odd}) {
      d = 1 / (1 + term * d == 0 ? kTiny : 1 + term * d);
      c = 1 + term / c == 0 ? kTiny : 1 + term / c;
      step = c * d;
      fraction *= step;
    }
    if (std::abs(step - 1) < kEnough) break;
  }
  return fraction;
}

/// lgamma writes to a global; this one does not.
double LogGamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

/// I_x(a, b), with 1 - x given so that it keeps its digits where x is near 1.
double RegularisedBeta(double x, double one_minus_x, double a, double b) {
  if (x <= 0) return 0;
  if (one_minus_x <= 0) return 1;
  const double front = std::exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * std::log(x) + b * std::log(one_minus_x));
  if (x < (a + 1) / (a + b + 2)) return front * BetaFraction(x, a, b) / a;
  return 1 - front * BetaFraction(one_minus_x, b, a) / b;
}

/// A spread this small beside the values is what rounding leaves of none.
bool IsNoSpread(double sd, double size) { return sd <= 1e-12 * size; }

/// Fills what follows from difference, its standard error and the degrees of freedom.
Comparison Judge(Comparison::Test test, double difference, double error, double degrees) {
  const double t = difference / error, reach = StudentQuantile(0.95, degrees) * error;
  return {.test = test,
          .difference = difference,
          .low = difference - reach,
          .high = difference + reach,
          .t = t,
          .degrees = degrees,
          .p = StudentTwoSided(t, degrees)};
}

}  // namespace

Summary Summarise(std::span<const double> values) {
  Summary summary{.count = values.size()};
  if (values.empty()) return summary;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) summary.mean += value / n;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  if (values.size() > 1) summary.sd = std::sqrt(squares / (n - 1));
  return summary;
}

double StudentTwoSided(double t, double degrees) {
  BASIN_CHECK(degrees > 0, degrees, " degrees of freedom");
  if (std::isinf(t)) return 0;
  const double square = t * t;
  return RegularisedBeta(degrees / (degrees + square), square / (degrees + square), degrees / 2, 0.5);
}

double StudentQuantile(double confidence, double degrees) {
  BASIN_CHECK(confidence > 0 && confidence < 1, "a confidence of ", confidence);
  const double tail = 1 - confidence;
  double low = 0, high = 1;
  while (StudentTwoSided(high, degrees) > tail) high *= 2;
  for (double middle = high / 2; low < middle && middle < high; middle = low + (high - low) / 2) {
    (StudentTwoSided(middle, degrees) > tail ? low : high) = middle;
  }
  return high;
}

std::optional<Comparison> ComparePaired(std::span<const double> a, std::span<const double> b) {
  BASIN_CHECK(a.size() == b.size(), a.size(), " values against ", b.size());
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  const Summary summary = Summarise(differences);
  if (summary.count < 2 || IsNoSpread(summary.sd, std::max(std::abs(a[0]), std::abs(b[0])))) return std::nullopt;
  const auto n = static_cast<double>(summary.count);
  return Judge(Comparison::Test::kPaired, summary.mean, summary.sd / std::sqrt(n), n - 1);
}

std::optional<Comparison> CompareWelch(std::span<const double> a, std::span<const double> b) {
  const Summary first = Summarise(a), second = Summarise(b);
  if (first.count < 2 || second.count < 2) return std::nullopt;
  if (IsNoSpread(first.sd, std::abs(first.mean)) && IsNoSpread(second.sd, std::abs(second.mean))) return std::nullopt;
  const auto n = static_cast<double>(first.count), m = static_cast<double>(second.count);
  const double u = first.sd * first.sd / n, v = second.sd * second.sd / m;
  const double degrees = (u + v) * (u + v) / (u * u / (n - 1) + v * v / (m - 1));
  return Judge(Comparison::Test::kWelch, first.mean - second.mean, std::sqrt(u + v), degrees);
}

std::string_view TestName(Comparison::Test test) { return test == Comparison::Test::kPaired ? "paired t" : "Welch t"; }

std::vector<double> HolmAdjusted(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return p[i] < p[j]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(p.size() - k) * p[order[k]]));
    adjusted[order[k]] = largest;
  }
  return adjusted;
}

std::vector<size_t> ParetoFront(std::span<const Purchase> purchases) {
  std::vector<size_t> order(purchases.size()), front;
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) {
    const Purchase &a = purchases[i], &b = purchases[j];
    return a.cost != b.cost ? a.cost < b.cost : a.value > b.value;
  });
  double best = -std::numeric_limits<double>::infinity(), cost = 0;
  for (const size_t k : order) {
    const bool equals_last = !front.empty() && purchases[k].cost == cost && purchases[k].value == best;
    if (purchases[k].value <= best && !equals_last) continue;
    front.push_back(k);
    best = purchases[k].value;
    cost = purchases[k].cost;
  }
  return front;
}

}  // namespace basin::report
