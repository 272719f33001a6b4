// What weight matching would gain from each pairing of units, kept up to date while permutations change.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

/// One permutation for each id, by the id's index: new unit i is old unit pi[i].
using UnitOrders = std::vector<std::vector<int64_t>>;

/// The trainable tensors of two networks that a specification names, and how their rows lie in memory for the products. Batch-norm
/// statistics are left out: they have no part in the distance. Immutable; shared by searches. Shares the networks' memory; copies are made
/// of tensors that are not contiguous, neither float32 nor float64, not on the CPU, or have three or more permuted axes.
class MatchedWeights {
 public:
  /// CheckFailed as ValidateSpec; DataError when the networks' tensors differ in name, shape or type.
  MatchedWeights(const models::PermutationSpec& spec, const models::StateDict& a, const models::StateDict& b);

  const std::vector<std::string>& ids() const { return ids_; }  ///< ascending
  const std::vector<int64_t>& sizes() const { return sizes_; }  ///< units of each id
  /// Indices of ids that share a tensor with this one, itself left out, ascending.
  const std::vector<std::vector<int64_t>>& neighbours() const { return neighbours_; }

 private:
  friend class WeightGains;
  /// An axis with units that are matched, of one tensor. The product of axis k is sum over all other places r of
  /// A[r, i] B[pi(r), j]; with one other permuted axis q, r = (unit of q, rest).
  struct Place {
    int64_t other = -1;  ///< index of the id on the one other permuted axis
    torch::Tensor a, b;  ///< contiguous
    int64_t outer = 1, outer_stride = 0;  ///< the other axis
    int64_t inner = 1, inner_stride = 1;  ///< the rest
    int64_t unit_stride = 1;
    /// With two or more other permuted axes: b is permuted anew each time. [axes..., own units]; `axes` has the index of the id of each, -1
    /// for none.
    std::vector<int64_t> axes{};
  };
  /// Which of the other axis' units make the rows of A and of B, and what of B is taken away.
  struct RowOrders {
    std::vector<int64_t> a, b, minus{};
  };
  static void AddProduct(const Place& place, const RowOrders& orders, torch::Tensor& gains);
  /// Axis `other` (-1: none) runs over the outer rows.
  static Place PlaceOf(const torch::Tensor& a, const torch::Tensor& b, int64_t own, int64_t other);
  void AddPlaces(const std::vector<std::string>& axes, const torch::Tensor& a, const torch::Tensor& b);
  int64_t IndexOf(const std::string& id) const;

  std::vector<std::string> ids_;
  std::vector<int64_t> sizes_;
  std::vector<std::vector<int64_t>> neighbours_;
  std::vector<std::vector<Place>> places_;  // of each id: those that depend on other ids
  std::vector<torch::Tensor> constant_;     // of each id: the sum of the products that depend on none, [n, n]
};

/// gains(p)[i, j] = sum over p's places of <A's unit i, B's unit j>, B permuted by all other ids (Ainsworth et al., arXiv 2209.04836,
/// section 3.2): the bilinear objective with all but p fixed is sum_i gains(p)[i, pi_p[i]] + a constant.
///
/// p's own permutation does not enter, since permuting B's units permutes the columns. When k of the n units of a neighbour have
/// changed places, gains(p) is corrected by a product over those k alone.
class WeightGains {
 public:
  explicit WeightGains(const MatchedWeights& weights);
  /// Brings gains(p) up to the given orders; false when nothing had changed since the last call. Different ids at the same time are
  /// allowed.
  bool Update(int64_t p, const UnitOrders& orders);
  /// float64 [n, n] row-major, rows: units of A. Valid until the next Update.
  std::span<const double> gains(int64_t p) const;

 private:
  struct Seen {
    UnitOrders orders;  // of the place's other ids, as they are in `gains_`; empty: never
    torch::Tensor product;  // only with several other axes
  };
  bool UpdatePlace(int64_t p, size_t place, const UnitOrders& orders);
  bool UpdateSeveral(int64_t p, size_t place, const UnitOrders& orders);

  const MatchedWeights& weights_;
  std::vector<torch::Tensor> gains_;
  std::vector<std::vector<Seen>> seen_;
  std::vector<char> is_new_;  // not vector<bool>: written for different ids at the same time
};

}  // namespace basin::merge
