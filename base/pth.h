// State dicts in PyTorch's own format (torch.save since 1.6), on raw bytes: a zip archive of a pickle and one entry a tensor.
//
// Written is what torch.load(FILE, weights_only=True) reads as an OrderedDict of tensors: pickle protocol 2, each tensor
// torch._utils._rebuild_tensor_v2 (or _v3 for types without a storage class of their own) of a storage in data/<number>.
// Read is no more than such dicts need: nothing in a file can run anything, and what is not known is refused.
#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "base/zip.h"

namespace basin::base {

/// Types that PyTorch knows and TensorView too: F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL, C64, U16, U32, U64, F8_E4M3, F8_E5M2,
/// F8_E4M3FNUZ, F8_E5M2FNUZ, F8_E8M0. DataError for others, naming the tensor. Contiguous tensors, in the order given; names are UTF-8.
/// Atomic.
FileDigest WritePth(const std::filesystem::path& path, const std::vector<TensorView>& tensors);

/// The pickle alone: entry data.pkl. Tensor k's storage is "k".
std::string StateDictPickle(const std::vector<TensorView>& tensors);

/// A checked, mapped file that holds a dict or an OrderedDict of tensors by name. Each breach is a DataError that names file and place:
/// those of ZipReader, an opcode or global that no state dict needs, values that are no tensors (optimiser states, nested dicts), a tensor
/// that leaves its storage, big-endian data, a name given twice.
class PthReader {
 public:
  explicit PthReader(const std::filesystem::path& path);
  /// In the file's order; row-major, also where the file's strides are others (then they are copies that the reader owns).
  const std::vector<TensorView>& tensors() const { return tensors_; }

 private:
  ZipReader zip_;
  std::vector<TensorView> tensors_;
  std::deque<std::vector<std::byte>> copies_;
};

/// True for a file that begins as a zip archive does.
bool IsZip(const std::filesystem::path& path);

}  // namespace basin::base
