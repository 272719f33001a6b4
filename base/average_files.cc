#include "base/average_files.h"

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

/// Says which file is to blame. For every method: a median may hide the value, but the network is broken nevertheless.
void RequireFinite(const Columns& columns, const std::vector<SafetensorsReader>& files) {
  for (size_t k = 0; k < files.size(); ++k) {
    const int64_t at = FirstNonFinite(columns.dtype, columns.data[k], columns.num_elements);
    if (at >= 0) {
      throw DataError(Text(files[k].path().string(), ": tensor ", columns.name,
                           " has a value that is not finite (element ", at, "). The run that wrote it diverged: leave it out"));
    }
  }
}

}  // namespace

FileDigest AverageSafetensors(std::span<const std::filesystem::path> inputs, const std::filesystem::path& output,
                              const AverageOptions& options, const std::map<std::string, std::string>& metadata,
                              const ForBlocks& for_blocks) {
  CheckAverageOptions(options, static_cast<int64_t>(inputs.size()));
  std::vector<SafetensorsReader> files;
  std::vector<NetworkSignature> signatures;
  files.reserve(inputs.size());
  for (const std::filesystem::path& path : inputs) signatures.push_back(SignatureOf(files.emplace_back(path)));
  MatchTensors(signatures);

  SafetensorsWriter writer(output, files[0].tensors(), metadata);
  std::vector<std::byte> result;
  const std::vector<TensorView> order = writer.order();
  for (const TensorView& view : order) {
    Columns columns{view.name, view.dtype, view.num_elements(), {}};
    for (const SafetensorsReader& file : files) columns.data.push_back(file.Require(view.name).bytes.data());
    RequireFinite(columns, files);
    result.resize(files[0].Require(view.name).bytes.size());
    AverageColumns(columns, options, result.data(), for_blocks);
    if (FirstNonFinite(columns.dtype, result.data(), columns.num_elements) >= 0) {
      throw DataError(Text("tensor ", columns.name, ": the average overflows ", DTypeName(columns.dtype)));
    }
    writer.Append(result);
  }
  return writer.Commit();
}

}  // namespace basin::base
