#include "base/average_files.h"

#include <algorithm>

#include "base/error.h"
#include "base/tensor_match.h"

namespace basin::base {
namespace {

NetworkSignature SignatureOf(const SafetensorsReader& file) {
  NetworkSignature signature{file.path().string(), {}};
  for (const TensorView& view : file.tensors()) {
    signature.tensors.push_back({view.name, std::string(DTypeName(view.dtype)), view.shape});
  }
  return signature;
}

std::vector<SafetensorsReader> OpenAlike(std::span<const std::filesystem::path> paths) {
  std::vector<SafetensorsReader> files;
  std::vector<NetworkSignature> signatures;
  files.reserve(paths.size());
  for (const std::filesystem::path& path : paths) signatures.push_back(SignatureOf(files.emplace_back(path)));
  MatchTensors(signatures);
  return files;
}

/// Says which file is to blame. For every method: a median may hide the value, but the network is broken nevertheless.
/// `first`: index of the columns' first element within the tensor.
void RequireFinite(const Columns& columns, int64_t first, const std::vector<SafetensorsReader>& files) {
  for (size_t k = 0; k < files.size(); ++k) {
    const int64_t at = FirstNonFinite(columns.dtype, columns.data[k], columns.num_elements);
    if (at >= 0) {
      throw DataError(Text(files[k].path().string(), ": tensor ", columns.name,
                           " has a value that is not finite (element ", first + at, "). The run that wrote it diverged: leave it out"));
    }
  }
}

/// One tensor, block by block: what was checked is still in the cache when it is averaged.
void AverageTensor(const Columns& whole, const std::vector<SafetensorsReader>& files, const AverageOptions& options,
                   std::span<std::byte> result, const ForBlocks& for_blocks) {
  if (!IsFloating(whole.dtype)) return AverageColumns(whole, options, result.data(), for_blocks);
  constexpr int64_t kBlock = 1 << 14;
  const int64_t width = DTypeBits(whole.dtype) / 8, blocks = (whole.num_elements + kBlock - 1) / kBlock;
  for_blocks(0, blocks, 1, [&](int64_t from, int64_t to) {
    for (int64_t block = from; block < to; ++block) {
      const int64_t first = block * kBlock;
      Columns columns{whole.name, whole.dtype, std::min(kBlock, whole.num_elements - first), whole.data};
      for (const std::byte*& data : columns.data) data += first * width;
      RequireFinite(columns, first, files);
      std::byte* const out = result.data() + first * width;
      AverageColumns(columns, options, out, InOneThread);
      if (FirstNonFinite(columns.dtype, out, columns.num_elements) >= 0) {
        throw DataError(Text("tensor ", columns.name, ": the average overflows ", DTypeName(columns.dtype)));
      }
    }
  });
}

}  // namespace

FileDigest AverageSafetensors(std::span<const std::filesystem::path> inputs, const std::filesystem::path& output,
                              const AverageOptions& options, const std::map<std::string, std::string>& metadata,
                              const ForBlocks& for_blocks) {
  CheckAverageOptions(options, static_cast<int64_t>(inputs.size()));
  const std::vector<SafetensorsReader> files = OpenAlike(inputs);
  SafetensorsWriter writer(output, files[0].tensors(), metadata);
  std::vector<std::byte> result;
  const std::vector<TensorView> order = writer.order();
  for (const TensorView& view : order) {
    Columns columns{view.name, view.dtype, view.num_elements(), {}};
    for (const SafetensorsReader& file : files) columns.data.push_back(file.Require(view.name).bytes.data());
    result.resize(files[0].Require(view.name).bytes.size());
    AverageTensor(columns, files, options, result, for_blocks);
    writer.Append(result);
  }
  return writer.Commit();
}

std::vector<double> SquaredDistances(std::span<const std::filesystem::path> networks, const std::filesystem::path& reference,
                                     const std::function<bool(const std::string& tensor)>& counts, const ForBlocks& for_blocks) {
  std::vector<std::filesystem::path> all{reference};
  all.insert(all.end(), networks.begin(), networks.end());
  const std::vector<SafetensorsReader> files = OpenAlike(all);
  std::vector<double> sums(networks.size(), 0.0);
  for (const TensorView& view : files[0].tensors()) {
    if (!IsFloating(view.dtype) || !counts(view.name)) continue;
    for (size_t k = 0; k < sums.size(); ++k) {
      sums[k] += SquaredDistance(view.dtype, files[k + 1].Require(view.name).bytes.data(), view.bytes.data(), view.num_elements(), for_blocks);
    }
  }
  return sums;
}

}  // namespace basin::base
