// The linear assignment problem: which unit of one network goes with which of another.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace basin::merge {

struct Assignment {
  std::vector<int64_t> columns;  ///< [n] the column of each row: a permutation of 0..n-1
  /// [n] dual prices p. With profits h_ij = gains_ij - p_j, every row has its own column among its best ones, up to rounding;
  /// so sum_i (max_j h_ij - h_i,columns[i]) bounds from above what any other assignment could gain more.
  std::vector<double> prices;
};

/// Maximises sum_i gains[i, columns[i]] over permutations. `gains` row-major [n, n] float64; n = 0 gives nothing.
///
/// Jonker and Volgenant's method ("A shortest augmenting path algorithm for dense and sparse linear assignment problems", Computing
/// 38, 1987) with prices: column reduction, transfer, augmenting row reduction, then shortest augmenting paths; where rows fight over columns in long wars of small bids, an
/// auction with falling steps (Bertsekas, Annals of Operations Research 14, 1988) goes first. O(n^3) at worst.
/// Gains of the form r_i + s_j + a_i b_j, the worst case of that method, are recognised (to 32 units in the last place of the largest
/// gain) and sorted: O(n^2).
///
/// Deterministic: among equals the lowest column goes first, and a free one before a taken one. The same gains give the same
/// answer whatever the processor's vector width, so ranks with the same gains agree. DataError when a gain is NaN or infinite.
Assignment SolveAssignment(std::span<const double> gains, int64_t n);

/// The columns alone.
std::vector<int64_t> MaximiseAssignment(std::span<const double> gains, int64_t n);

}  // namespace basin::merge
