// What `basin inspect` knows about safetensors files, without LibTorch.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"

namespace basin::launch {

/// {"file", "metadata": {...}, "parameters": n, "tensors": [{"name", "shape", "dtype", "norm", "hash"}]}; norm (Euclidean, double) is
/// null for dtypes that are not numbers here.
base::Json DescribeTensors(const std::filesystem::path& file);
/// {"equal", "only_in_first", "only_in_second", "different": [{"name", "why", "max_abs", "distance"}]}. Metadata is not compared.
base::Json CompareTensors(const std::filesystem::path& first, const std::filesystem::path& second);

std::string TensorsText(const base::Json& report);
std::string DifferencesText(const base::Json& report);

}  // namespace basin::launch
