// The loops over a row of gains that merge/assignment.cc spends its time in, for wide vectors. Each gives the same bits for every width.
#pragma once

#include <cstdint>

namespace basin::merge {

/// best[j] = max(best[j], row[j]), owner[j] = number where that is new. False when some |row[j]| * 2^40 is not finite.
bool RaiseToRow(const double* row, int64_t n, int64_t number, double* best, int64_t* owner);

/// The two largest profits row[j] - price[j] (equal ones count twice) and where: `first` is the lowest column with the largest; `second`
/// the next with the same one, -1 when the largest is met once. n >= 1; with n = 1 second_profit is -infinity.
struct TwoBest {
  double first_profit, second_profit;
  int64_t first, second;
};
TwoBest FindTwoBest(const double* row, const double* price, int64_t n);

struct Nearest {
  double distance;
  int64_t column;  ///< the lowest; -1 when every distance is infinite
};
/// One step of Dijkstra's search: distance[j] = min(distance[j], base + (price[j] - row[j])), from[j] = number where that is smaller.
/// Columns with price +infinity stay as they are. Returns the smallest distance.
Nearest Relax(const double* row, const double* price, int64_t n, double base, int64_t number, double* distance, int64_t* from);

}  // namespace basin::merge
