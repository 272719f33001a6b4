// How far apart the members are, without sending their weights.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace basin::trainer {

/// Sums of a sketch. Each costs 8 bytes a member and evaluation.
inline constexpr int64_t kSketchSums = 1024;

/// Random signed sums of weights [P] (float32): sum k is over the coordinates i with i mod 1024 = k, each with a random sign. For two
/// vectors with the same signs, the squared distance of their sketches has the squared distance of the vectors as its mean, and at
/// most about sqrt(2 / 1024) = 4.4 % of it as standard deviation where no few coordinates dominate (Alon, Matias and Szegedy 1996, "The
/// space complexity of approximating the frequency moments"). The signs depend on seed and step alone.
std::vector<double> Sketch(const torch::Tensor& weights, uint64_t seed, int64_t step);

/// (1/N) sum_n |row_n - mean|^2 of float64 [N, K]: of sketches, an estimate of the members' consensus distance Xi^2.
double ConsensusSquared(const torch::Tensor& rows);

}  // namespace basin::trainer
