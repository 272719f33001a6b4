// A permutation specification that a user wrote for a network of their own, as YAML (docs/merging.md).
#pragma once

#include <filesystem>

#include "models/symmetry.h"

namespace basin::trainer {

/// The file is a map from tensor names to lists with one entry an axis: a permutation's name, or null for an axis that stays.
///
///   fc1.weight: [hidden, null]
///   fc1.bias: [hidden]
///   fc2.weight: [null, hidden]
///
/// ConfigError with file and line of each problem: no YAML of this form, a tensor that `state` lacks (and the nearest name), a wrong number of
/// axes, two sizes for one id, an id twice in a tensor, an id without a producer (axis 0) or a consumer (another axis).
models::PermutationSpec ReadSymmetry(const std::filesystem::path& file, const models::StateDict& state);

}  // namespace basin::trainer
