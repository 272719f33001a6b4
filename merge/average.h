// Averages of networks, tensor by tensor.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/average.h"
#include "models/state_dict.h"

namespace basin::merge {

using base::AverageMethod;
using base::AverageOptions;

/// One tensor from K of the same shape and dtype. Floating: accumulated in double in the order given, rounded once.
/// Median of an even K: mean of the middle two. Integers and booleans: the common value, or the largest where they
/// differ (a counter of batches is never averaged as a float).
torch::Tensor AverageTensors(std::span<const torch::Tensor> tensors, const AverageOptions& options);

/// DataError when names, shapes or dtypes differ (says which). Order of the first. K >= 1.
models::StateDict AverageStates(std::span<const models::StateDict> states, const AverageOptions& options = {});

/// The same from files to a file with the memory of one tensor of each (all mapped). `metadata` is added to the
/// output's. DataError naming the file also when it holds a value that is not finite.
void AverageFiles(std::span<const std::filesystem::path> inputs, const std::filesystem::path& output,
                  const AverageOptions& options, const std::map<std::string, std::string>& metadata);

/// |network - reference|^2 of each file, over trainable tensors, in double; all files are mapped. DataError as above.
std::vector<double> DistancesSquared(std::span<const std::filesystem::path> networks, const std::filesystem::path& reference);

/// Xi^2 = (1/N) sum_n |theta_n - mean|^2 over trainable tensors (batch-norm statistics excluded), in double.
double ConsensusDistanceSquared(std::span<const models::StateDict> states);
/// |a - b|^2 over trainable tensors, in double.
double DistanceSquared(const models::StateDict& a, const models::StateDict& b);

}  // namespace basin::merge
