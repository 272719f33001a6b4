// Averages of files: from mapped safetensors files to a file, one tensor at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/average.h"
#include "base/files.h"

namespace basin::base {

/// The average of networks in files, as AverageColumns, with the memory of one tensor of the output (the inputs are
/// mapped). `metadata` is added to the output's. Returns the digest of the output, which appears only when complete and
/// may replace an input. ConfigError: see CheckAverageOptions. DataError naming the file: it cannot be read, does not
/// match the first (see MatchTensors), or holds a value that is not finite, whatever the method. What `for_blocks`
/// throws is passed on, and nothing is written then.
FileDigest AverageSafetensors(std::span<const std::filesystem::path> inputs, const std::filesystem::path& output,
                              const AverageOptions& options, const std::map<std::string, std::string>& metadata,
                              const ForBlocks& for_blocks = InOneThread);

/// Squared distance of each network from `reference` over the floating tensors that `counts` accepts by name, in double.
/// All files are mapped. DataError as above.
std::vector<double> SquaredDistances(std::span<const std::filesystem::path> networks, const std::filesystem::path& reference,
                                     const std::function<bool(const std::string& tensor)>& counts,
                                     const ForBlocks& for_blocks = InOneThread);

}  // namespace basin::base
