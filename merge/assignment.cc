#include "merge/assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "merge/assignment_rows.h"

namespace basin::merge {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Rows bid for columns: a column's price rises until every row can have one of its best. See SolveAssignment.
class Market {
 public:
  Market(const double* gains, int64_t n)
      : gains_(gains), n_(n), price_(static_cast<size_t>(n)), column_(price_.size(), -1), owner_(price_.size(), -1) {}

  /// Prices at which no profit is positive; each row takes the first column that it alone brought to its price. False when differences of
  /// gains could overflow, or a gain is not finite.
  bool ReduceColumns() {
    std::fill(price_.begin(), price_.end(), -kInfinity);
    std::vector<int64_t> highest(price_.size(), 0);
    bool tame = true;
    for (int64_t i = 0; i < n_; ++i) tame &= RaiseToRow(Row(i), n_, i, price_.data(), highest.data());
    if (!tame) return false;
    std::vector<int64_t> offers(price_.size(), 0);
    for (int64_t j = 0; j < n_; ++j) {
      const int64_t i = highest[j];
      if (offers[i]++ == 0) Give(i, j);
    }
    for (int64_t i = 0; i < n_; ++i) {
      if (offers[i] == 0) free_.push_back(i);
      if (offers[i] == 1) Transfer(i);
    }
    return true;
  }

  /// Augmenting row reduction: a free row pays up to its second choice for its first; who is driven out bids next. False when that
  /// did not end within so many bids: wars of small bids can be long.
  bool ReduceRows() {
    std::vector<int64_t> waiting(free_.rbegin(), free_.rend()), left;
    int64_t bids = 2 * n_ + 16;
    while (!waiting.empty() && bids-- > 0) {
      const int64_t row = waiting.back();
      waiting.pop_back();
      const auto [driven_out, paid] = Bid(row, 0);
      if (driven_out >= 0) (paid ? waiting : left).push_back(driven_out);
    }
    const bool ended = waiting.empty();
    left.insert(left.end(), waiting.rbegin(), waiting.rend());
    free_ = std::move(left);
    return ended;
  }

  /// Ends a war: an auction (Bertsekas 1988) in which each bid raises the price by a step more than it must, with smaller and smaller
  /// steps. What it leaves are prices near the best ones; rows whose column is not among their best ones are set free again. Steps are powers of
  /// two, so prices of whole gains stay exact.
  void Auction() {
    double gap = 0;
    for (int64_t i = 0; i < n_; ++i) {
      const TwoBest best = FindTwoBest(Row(i), price_.data(), n_);
      gap += (best.first_profit - best.second_profit) / static_cast<double>(n_);
    }
    if (gap <= 0) return;
    double step = std::exp2(std::floor(std::log2(gap)));
    for (int stage = 0; stage < 4; ++stage, step /= 4) {
      if (stage > 0) ReleaseUnless(step);
      std::vector<int64_t> waiting(free_.rbegin(), free_.rend());
      for (int64_t bids = 6 * n_; !waiting.empty() && bids > 0; --bids) {
        const int64_t row = waiting.back();
        waiting.pop_back();
        const int64_t driven_out = Bid(row, step).driven_out;
        if (driven_out >= 0) waiting.push_back(driven_out);
      }
      free_.assign(waiting.rbegin(), waiting.rend());
    }
    ReleaseUnless(0);
  }

  /// Every row that is still free gets a column along a shortest path.
  void Augment() {
    if (free_.empty()) return;
    distance_.resize(price_.size());
    from_.resize(price_.size());
    for (int64_t j = 0; j < n_; ++j) {
      if (owner_[j] < 0) vacant_.push_back(j);
    }
    for (const int64_t row : free_) AugmentFrom(row);
    free_.clear();
  }

  Assignment Result() && { return {std::move(column_), std::move(price_)}; }

 private:
  const double* Row(int64_t i) const { return gains_ + i * n_; }
  void Give(int64_t row, int64_t column) {
    column_[row] = column;
    owner_[column] = row;
  }

  /// A row that no other column wants raises the price of its own until its second choice is as good.
  void Transfer(int64_t row) {
    const TwoBest best = FindTwoBest(Row(row), price_.data(), n_);
    if (n_ > 1 && best.first == column_[row]) price_[best.first] += best.first_profit - best.second_profit;
  }

  struct BidResult {
    int64_t driven_out;
    bool paid;
  };
  BidResult Bid(int64_t row, double step) {
    const TwoBest best = FindTwoBest(Row(row), price_.data(), n_);
    int64_t column = best.first;
    const double before = price_[column];
    if (n_ > 1) price_[column] += best.first_profit - best.second_profit + step;
    const bool paid = price_[column] > before;  // the difference may be lost in rounding
    if (!paid && owner_[column] >= 0 && best.second >= 0) column = best.second;
    const int64_t driven_out = owner_[column];
    if (driven_out >= 0) column_[driven_out] = -1;
    Give(row, column);
    return {driven_out, paid};
  }

  /// Frees rows whose column is worse than their best one by more than `slack`.
  void ReleaseUnless(double slack) {
    for (int64_t i = 0; i < n_; ++i) {
      const int64_t column = column_[i];
      if (column < 0 || Row(i)[column] - price_[column] >= FindTwoBest(Row(i), price_.data(), n_).first_profit - slack) continue;
      column_[i] = owner_[column] = -1;
      free_.push_back(i);
    }
    std::sort(free_.begin(), free_.end());
  }

  void AugmentFrom(int64_t start) {
    std::fill(distance_.begin(), distance_.end(), kInfinity);
    reached_.clear();
    open_price_ = price_;
    double length = 0, base = 0;
    int64_t row = start, end = -1;
    while (true) {
      const Nearest nearest = Relax(Row(row), open_price_.data(), n_, base, row, distance_.data(), from_.data());
      BASIN_CHECK(nearest.column >= 0, "no path from row ", start, " to a free column");
      length = nearest.distance;
      end = VacantAt(length);
      if (end >= 0) break;
      const int64_t column = nearest.column;
      reached_.push_back({column, length});
      distance_[column] = open_price_[column] = kInfinity;
      row = owner_[column];
      base = length - (price_[column] - Row(row)[column]);
    }
    for (const Reached& reached : reached_) price_[reached.column] += length - reached.distance;
    std::erase(vacant_, end);
    for (int64_t column = end; column >= 0;) {
      const int64_t taker = from_[column];
      const int64_t given_up = column_[taker];
      Give(taker, column);
      column = given_up;
    }
  }

  /// The first free column at this distance, or -1.
  int64_t VacantAt(double length) const {
    for (const int64_t column : vacant_) {
      if (distance_[column] == length) return column;
    }
    return -1;
  }

  struct Reached {
    int64_t column;
    double distance;
  };

  const double* gains_;
  const int64_t n_;
  std::vector<double> price_;
  std::vector<int64_t> column_, owner_;  // of each row; of each column
  std::vector<int64_t> free_;            // rows without a column
  std::vector<int64_t> vacant_;          // columns without a row, ascending
  std::vector<double> distance_, open_price_;  // +infinity for columns that the search has reached
  std::vector<int64_t> from_;
  std::vector<Reached> reached_;
};

/// gains_ij = row_term_i + column_term_j + a_i b_j.
struct RankOne {
  std::vector<double> a, b, column_term;
};

/// D_ij = g_ij - g_0j - g_i0 + g_00 is a_i b_j for gains of that form, and a single row of D tells most others apart.
class RankOneSearch {
 public:
  RankOneSearch(std::span<const double> gains, int64_t n) : gains_(gains.data()), n_(n) {
    for (int64_t k = 0; k < n; ++k) largest_ = std::max({largest_, std::abs(At(0, k)), std::abs(At(k, 0)), std::abs(At(k, k))});
    tolerance_ = 32 * std::numeric_limits<double>::epsilon() * largest_;
  }

  std::optional<RankOne> Find() const {
    const int64_t row = FirstRowThatBends();
    RankOne form{std::vector<double>(n_, 0), std::vector<double>(n_, 0), std::vector<double>(gains_, gains_ + n_)};
    if (row < n_) {
      const int64_t column = Farthest([&](int64_t j) { return Bend(row, j); });
      for (int64_t i = 0; i < n_; ++i) form.a[i] = Bend(i, column);
      const int64_t pivot = Farthest([&](int64_t i) { return form.a[i]; });
      for (int64_t j = 0; j < n_; ++j) form.b[j] = Bend(pivot, j) / form.a[pivot];
    }
    return Holds(form) ? std::optional(std::move(form)) : std::nullopt;
  }

 private:
  double At(int64_t i, int64_t j) const { return gains_[i * n_ + j]; }
  double Bend(int64_t i, int64_t j) const { return (At(i, j) - At(0, j)) - (At(i, 0) - At(0, 0)); }

  int64_t FirstRowThatBends() const {
    int64_t i = 1;
    for (; i < n_; ++i) {
      for (int64_t j = 1; j < n_; ++j) {
        if (std::abs(Bend(i, j)) > tolerance_) return i;
      }
    }
    return i;
  }
  template <typename Value>
  int64_t Farthest(Value&& value) const {
    int64_t best = 0;
    for (int64_t k = 1; k < n_; ++k) {
      if (std::abs(value(k)) > std::abs(value(best))) best = k;
    }
    return best;
  }
  /// From the last row up: the first ones are alike in more matrices that are not of this form.
  bool Holds(const RankOne& form) const {
    for (int64_t i = n_ - 1; i >= 0; --i) {
      for (int64_t j = 0; j < n_; ++j) {
        if (std::abs(Bend(i, j) - form.a[i] * form.b[j]) > tolerance_) return false;
      }
    }
    return true;
  }

  const double* gains_;
  const int64_t n_;
  double largest_ = 0, tolerance_ = 0;
};

std::vector<int64_t> Ascending(const std::vector<double>& values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return values[i] < values[j]; });
  return order;
}

/// Large goes with large (the rearrangement inequality). A price step of a_k (b_k+1 - b_k) makes row k indifferent between its
/// column and the next, hence, a ascending, content with its own.
Assignment Sorted(const RankOne& form) {
  const std::vector<int64_t> rows = Ascending(form.a), columns = Ascending(form.b);
  Assignment result{std::vector<int64_t>(rows.size()), form.column_term};
  double step = 0;
  for (size_t k = 0; k < rows.size(); ++k) {
    if (k > 0) step += form.a[rows[k - 1]] * (form.b[columns[k]] - form.b[columns[k - 1]]);
    result.columns[rows[k]] = columns[k];
    result.prices[columns[k]] += step;
  }
  return result;
}

/// Gains near the ends of double's range are scaled by a power of two, which is exact but for what underflows beside them.
std::vector<double> Tamed(std::span<const double> gains, int64_t n) {
  std::vector<double> scaled(gains.begin(), gains.end());
  for (size_t k = 0; k < scaled.size(); ++k) {
    if (!std::isfinite(scaled[k])) {
      throw DataError(Text("assignment: the gain of row ", k / static_cast<size_t>(n), " and column ", k % static_cast<size_t>(n), " is ",
                           scaled[k], "; gains must be finite"));
    }
    scaled[k] *= 0x1p-64;
  }
  return scaled;
}

}  // namespace

Assignment SolveAssignment(std::span<const double> gains, int64_t n) {
  BASIN_CHECK(n >= 0 && static_cast<int64_t>(gains.size()) == n * n, "assignment: ", gains.size(), " gains for ", n, " rows");
  if (n == 0) return {};
  Market market(gains.data(), n);
  if (!market.ReduceColumns()) {
    const std::vector<double> scaled = Tamed(gains, n);
    Assignment result = SolveAssignment(scaled, n);
    for (double& price : result.prices) price *= 0x1p64;
    return result;
  }
  if (const auto form = RankOneSearch(gains, n).Find()) return Sorted(*form);
  if (!market.ReduceRows()) market.Auction();
  market.ReduceRows();
  market.Augment();
  return std::move(market).Result();
}

std::vector<int64_t> MaximiseAssignment(std::span<const double> gains, int64_t n) { return SolveAssignment(gains, n).columns; }

}  // namespace basin::merge
