// The safetensors format on raw bytes: no tensor library here. Format: 8 bytes little-endian header length N,
// N bytes JSON, then the packed row-major little-endian data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/files.h"

namespace basin::base {

/// All names of the format; the ones that Basin itself writes come first.
enum class DType {
  kF32, kF64, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool,
  kU16, kU32, kU64, kC64, kF8E5M2, kF8E4M3, kF8E8M0, kF8E4M3FNUZ, kF8E5M2FNUZ, kF4, kF6E2M3, kF6E3M2,
};
std::string_view DTypeName(DType dtype);      ///< "F32"
int DTypeBits(DType dtype);                   ///< 32

/// One tensor of a file. `bytes` borrows from the reader (or, for writing, from the caller).
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  ///< [] is a scalar; a 0 makes it empty
  std::span<const std::byte> bytes;
  int64_t num_elements() const;
};

/// A checked, memory-mapped file. Checked on opening, every breach is a DataError that names file, tensor, found
/// and allowed: header length <= 100,000,000 and inside the file, starts with '{', valid UTF-8 JSON, no duplicate
/// key, known dtype, non-negative shape without overflow, offsets contiguous from 0 without hole or overlap, length =
/// product of shape x bits / 8, file length = 8 + N + last offset, metadata values are strings.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::filesystem::path& path);
  /// In the order of the data.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  /// nullptr when there is none of this name.
  const TensorView* Find(std::string_view name) const;
  /// DataError that names the file and the nearest existing name.
  const TensorView& Require(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, size_t> index_;  // name -> position in tensors_
};

/// Declares tensors first, then takes their bytes one after another in `order()`, so that a file of any size is written
/// with the memory of one tensor. Tensors are laid out by descending alignment, then name; the header is padded to a
/// multiple of 8. {"format": "pt"} is always added to the metadata. Atomic: see AtomicFile.
class SafetensorsWriter {
 public:
  /// `declared[i].bytes` is ignored here.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorView> declared,
                    std::map<std::string, std::string> metadata = {});
  const std::vector<TensorView>& order() const { return order_; }
  /// Bytes of order()[k] for the k-th call; the length must fit (CheckFailed otherwise).
  void Append(std::span<const std::byte> bytes);
  /// Of the whole file.
  FileDigest Commit();

 private:
  AtomicFile file_;
  std::vector<TensorView> order_;
  size_t next_ = 0;
};

/// Writes complete tensors in one call.
void WriteSafetensors(const std::filesystem::path& path, const std::vector<TensorView>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace basin::base
