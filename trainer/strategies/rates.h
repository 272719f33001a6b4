// How often each coordinate is chosen: the depth law of the share p, its course over time, and what
// follows for the number of chosen coordinates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/sparse_exchange.h"
#include "models/flat_params.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// The factor in [0, 1] that each tensor's p is scaled by, one a slot. Law linear: 1 - x, where the
/// depth x is 0 at the first and 1 at the last. By unit:
/// - tensor: x = l / (L - 1), l the index of the tensor;
/// - module: the same of modules; tensors whose names agree up to the last '.' are of one module;
/// - parameters: x = (parameters before the tensor) / (P - size of the last tensor).
/// A single tensor (or module) has factor 1.
std::vector<double> DepthFactors(std::span<const models::ParameterSlot> slots, DepthLaw law,
                                 DepthUnit unit);

/// The factor that p is scaled by after this step. A base_lr of 0 couples to nothing: 1.
double TimeFactor(RateSchedule schedule, const StepInfo& step, const RunShape& shape);

/// The learning rate of a step, as the run will have it.
double LrAt(int64_t step, const RunShape& shape);

/// The tensors with rate = share x factor, at most 1.
std::vector<comm::SelectedTensor> SelectTensors(std::span<const models::ParameterSlot> slots,
                                                std::span<const double> factors, double share);

/// Mean and variance of the number of chosen coordinates (a sum of binomials).
struct SelectionMoments {
  double mean = 0, variance = 0;
};
SelectionMoments MomentsOf(std::span<const comm::SelectedTensor> tensors);
/// E[min(chosen coordinates, limit)].
double ExpectedAtMost(std::span<const comm::SelectedTensor> tensors, int limit);

}  // namespace basin::trainer
