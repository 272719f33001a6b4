#include "base/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/safetensors_header.h"

namespace basin::base {
namespace {

struct DTypeFacts {
  DType dtype;
  std::string_view name;
  int bits;
};

constexpr std::array<DTypeFacts, 22> kDTypes = {{
    {DType::kF32, "F32", 32},
    {DType::kF64, "F64", 64},
    {DType::kF16, "F16", 16},
    {DType::kBF16, "BF16", 16},
    {DType::kI64, "I64", 64},
    {DType::kI32, "I32", 32},
    {DType::kI16, "I16", 16},
    {DType::kI8, "I8", 8},
    {DType::kU8, "U8", 8},
    {DType::kBool, "BOOL", 8},
    {DType::kU16, "U16", 16},
    {DType::kU32, "U32", 32},
    {DType::kU64, "U64", 64},
    {DType::kC64, "C64", 64},
    {DType::kF8E5M2, "F8_E5M2", 8},
    {DType::kF8E4M3, "F8_E4M3", 8},
    {DType::kF8E8M0, "F8_E8M0", 8},
    {DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8},
    {DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8},
    {DType::kF4, "F4", 4},
    {DType::kF6E2M3, "F6_E2M3", 6},
    {DType::kF6E3M2, "F6_E3M2", 6},
}};

const DTypeFacts& FactsOf(DType dtype) {
  for (const DTypeFacts& facts : kDTypes) {
    if (facts.dtype == dtype) return facts;
  }
  throw CheckFailed(Text("unknown dtype number ", static_cast<int>(dtype)));
}

std::optional<DType> ParseDType(std::string_view name) {
  for (const DTypeFacts& facts : kDTypes) {
    if (facts.name == name) return facts.dtype;
  }
  return std::nullopt;
}

// Nothing when a dimension is negative or the product overflows. Zeros count as one for the
// overflow: libraries compute strides from the other dimensions even when the tensor is empty.
std::optional<int64_t> CheckedProduct(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    empty = empty || size == 0;
    if (__builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product)) return std::nullopt;
  }
  return empty ? 0 : product;
}

// Nothing when the size overflows or is no whole number of bytes (types below 8 bits).
std::optional<uint64_t> CheckedBytes(const std::vector<int64_t>& shape, DType dtype) {
  const std::optional<int64_t> count = CheckedProduct(shape);
  int64_t bits = 0;
  if (!count || __builtin_mul_overflow(*count, int64_t{DTypeBits(dtype)}, &bits) || bits % 8 != 0)
    return std::nullopt;
  return static_cast<uint64_t>(bits / 8);
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

[[noreturn]] void Refuse(const std::filesystem::path& path, const std::string& what) {
  throw DataError(Text(path.string(), ": ", what,
                       ". The file is damaged or no safetensors file; copy or write it anew."));
}

// Checks one entry against the buffer and against the end of the tensor before it.
TensorView CheckedTensor(HeaderEntry& entry, uint64_t expected_begin,
                         std::span<const std::byte> buffer, const std::filesystem::path& path) {
  const std::string where = Text("tensor '", entry.name, "': ");
  const std::optional<DType> dtype = ParseDType(entry.dtype);
  if (!dtype) {
    std::vector<std::string> names;
    for (const DTypeFacts& facts : kDTypes) names.emplace_back(facts.name);
    Refuse(path, Text(where, "found dtype '", entry.dtype, "', allowed: ", JoinNames(names)));
  }
  const std::optional<uint64_t> size = CheckedBytes(entry.shape, *dtype);
  if (!size) {
    Refuse(path, Text(where, "shape ", ShapeText(entry.shape), " of ", entry.dtype,
                      " overflows or is no whole number of bytes"));
  }
  if (entry.begin != expected_begin) {
    Refuse(path, Text(where, "data begins at ", entry.begin, ", allowed is ", expected_begin,
                      ", where the data before ends (",
                      entry.begin > expected_begin ? "a hole" : "an overlap", ")"));
  }
  if (entry.end < entry.begin || entry.end - entry.begin != *size) {
    Refuse(path, Text(where, "data_offsets [", entry.begin, ", ", entry.end, "] do not span the ",
                      *size, " bytes of shape ", ShapeText(entry.shape), " of ", entry.dtype));
  }
  if (entry.end > buffer.size()) {
    Refuse(path, Text(where, "data ends at ", entry.end, ", but the file holds ", buffer.size(),
                      " bytes of data: it is cut short"));
  }
  return {std::move(entry.name), *dtype, std::move(entry.shape),
          buffer.subspan(entry.begin, *size)};
}

std::vector<TensorView> SortedForWriting(std::vector<TensorView> tensors) {
  std::unordered_set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    BASIN_CHECK(names.insert(tensor.name).second, "tensor name '", tensor.name, "' is used twice");
    BASIN_CHECK(tensor.name != "__metadata__", "a tensor must not be named __metadata__");
    BASIN_CHECK(CheckedBytes(tensor.shape, tensor.dtype), "tensor '", tensor.name, "': shape ",
                ShapeText(tensor.shape), " of ", DTypeName(tensor.dtype));
  }
  std::sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    const int a_bits = DTypeBits(a.dtype), b_bits = DTypeBits(b.dtype);
    return a_bits != b_bits ? a_bits > b_bits : a.name < b.name;
  });
  return tensors;
}

// Length, JSON and padding. Put together as text: inserting into an ordered JSON object is linear
// in its size.
std::string HeaderBytes(const std::vector<TensorView>& order,
                        std::map<std::string, std::string> metadata,
                        const std::filesystem::path& path) {
  metadata["format"] = "pt";  // readers of the transformers library fail without it
  std::string json;
  try {
    json = Text("{\"__metadata__\":", Json(metadata).dump());
    uint64_t offset = 0;
    for (const TensorView& tensor : order) {
      const uint64_t end = offset + *CheckedBytes(tensor.shape, tensor.dtype);
      json += Text(",", Json(tensor.name).dump(), ":{\"dtype\":\"", DTypeName(tensor.dtype),
                   "\",\"shape\":", Json(tensor.shape).dump(), ",\"data_offsets\":[", offset, ",",
                   end, "]}");
      offset = end;
    }
  } catch (const Json::exception& error) {
    throw DataError(Text("cannot write ", path.string(),
                         ": a tensor name or metadata is not UTF-8: ", error.what()));
  }
  json += '}';
  json.append((kHeaderLengthBytes - json.size() % kHeaderLengthBytes) % kHeaderLengthBytes, ' ');
  BASIN_CHECK(json.size() <= kMaxHeaderBytes, path.string(), ": the header has ", json.size(),
              " bytes");
  const uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), kHeaderLengthBytes) + json;
}

}  // namespace

std::string_view DTypeName(DType dtype) { return FactsOf(dtype).name; }
int DTypeBits(DType dtype) { return FactsOf(dtype).bits; }

int64_t TensorView::num_elements() const {
  const std::optional<int64_t> count = CheckedProduct(shape);
  BASIN_CHECK(count, "tensor '", name, "': shape ", ShapeText(shape));
  return *count;
}

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path) : path_(path), file_(path) {
  const std::string_view text = SafetensorsHeaderText(file_.bytes(), path);
  Header header = ParseSafetensorsHeader(text, path);
  metadata_ = std::move(header.metadata);
  // Stable, so that empty tensors at one offset keep the order of the header.
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const HeaderEntry& a, const HeaderEntry& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  const std::span<const std::byte> buffer = file_.bytes().subspan(kHeaderLengthBytes + text.size());
  uint64_t end = 0;
  for (HeaderEntry& entry : header.entries) {
    tensors_.push_back(CheckedTensor(entry, end, buffer, path));
    end += tensors_.back().bytes.size();
  }
  if (end != buffer.size()) {
    Refuse(path, Text("the tensors end at byte ", end, " of the data, but the file holds ",
                      buffer.size()));
  }
  for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorView* SafetensorsReader::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& SafetensorsReader::Require(std::string_view name) const {
  if (const TensorView* found = Find(name)) return *found;
  std::vector<std::string> names;
  for (const TensorView& tensor : tensors_) names.push_back(tensor.name);
  const std::string nearest = NearestName(name, names);
  throw DataError(Text(path_.string(), ": no tensor '", name, "' among its ", tensors_.size(), ".",
                       nearest.empty() ? "" : " Did you mean '" + nearest + "'?"));
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorView> declared,
                                     std::map<std::string, std::string> metadata)
    : file_(path), order_(SortedForWriting(std::move(declared))) {
  file_.Write(HeaderBytes(order_, std::move(metadata), path));
}

void SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  BASIN_CHECK(next_ < order_.size(), "all ", order_.size(), " tensors are already written");
  const TensorView& tensor = order_[next_];
  BASIN_CHECK(bytes.size() == *CheckedBytes(tensor.shape, tensor.dtype), "tensor '", tensor.name,
              "' of shape ", ShapeText(tensor.shape), " and ", DTypeName(tensor.dtype), " got ",
              bytes.size(), " bytes");
  file_.Write(bytes);
  ++next_;
}

FileDigest SafetensorsWriter::Commit() {
  BASIN_CHECK(next_ == order_.size(), "only ", next_, " of ", order_.size(),
              " tensors are written");
  file_.Commit();
  return file_.digest();
}

void WriteSafetensors(const std::filesystem::path& path, const std::vector<TensorView>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(path, tensors, metadata);
  for (const TensorView& tensor : writer.order()) writer.Append(tensor.bytes);
  writer.Commit();
}

}  // namespace basin::base
