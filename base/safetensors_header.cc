#include "base/safetensors_header.h"

#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace basin::base {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian and are not swapped here");

constexpr std::string_view kMetadataKey = "__metadata__";

// Takes the parser's events as they come, so that a hostile header costs no more than its own
// length: a document tree would keep only one of two equal keys, and nesting is refused at once.
class HeaderSax final : public Json::json_sax_t {
 public:
  explicit HeaderSax(const std::filesystem::path& path) : path_(path) {}
  Header& header() { return header_; }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kRoot;
        return true;
      case Place::kRoot:
        place_ = key_ == kMetadataKey ? Place::kMetadata : Place::kTensor;
        if (place_ == Place::kTensor) BeginTensor();
        return true;
      default:
        return Unexpected("an object");
    }
  }

  bool end_object() override {
    if (place_ == Place::kTensor) EndTensor();
    place_ = place_ == Place::kRoot ? Place::kEnd : Place::kRoot;
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::kRoot) {
      if (!names_.insert(name).second) Refuse(Text("the key '", name, "' occurs twice"));
      key_ = std::move(name);
    } else if (place_ == Place::kMetadata) {
      if (header_.metadata.contains(name))
        Refuse(Text("the key '", name, "' occurs twice in __metadata__"));
      field_ = std::move(name);
    } else {
      BeginField(name);
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor) return Unexpected("an array");
    if (field_ == "shape") {
      place_ = Place::kShape;
    } else if (field_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      return Unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets) {
      if (offsets_.size() != 2)
        Refuse(Text(Where(), "found ", offsets_.size(), " data_offsets, allowed: 2"));
      header_.entries.back().begin = offsets_[0];
      header_.entries.back().end = offsets_[1];
    }
    place_ = Place::kTensor;
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace(field_, std::move(value));
    } else if (place_ == Place::kTensor && field_ == "dtype") {
      header_.entries.back().dtype = std::move(value);
    } else {
      return Unexpected("a string");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > uint64_t{std::numeric_limits<int64_t>::max()})
        return Unexpected("a size beyond 2^63");
      header_.entries.back().shape.push_back(static_cast<int64_t>(value));
    } else if (place_ == Place::kOffsets) {
      offsets_.push_back(value);
    } else {
      return Unexpected("a number");
    }
    return true;
  }

  bool number_integer(number_integer_t) override { return Unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override {
    return Unexpected("the number " + text);
  }
  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a truth value"); }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    Refuse(Text("not valid JSON: ", error.what()));
  }

 private:
  enum class Place { kStart, kRoot, kMetadata, kTensor, kShape, kOffsets, kEnd };

  [[noreturn]] void Refuse(const std::string& what) const {
    throw DataError(Text(path_.string(), ": the safetensors header is damaged: ", what,
                         ". Copy or write the file anew."));
  }

  std::string Where() const {
    if (place_ == Place::kStart || place_ == Place::kRoot) return Text("'", key_, "': ");
    return Text("'", key_, "', '", field_, "': ");
  }

  bool Unexpected(const std::string& found) const {
    const char* allowed = "an object";
    if (place_ == Place::kMetadata) allowed = "a string";
    if (place_ == Place::kShape || place_ == Place::kOffsets)
      allowed = "a whole number of 0 or more";
    if (place_ == Place::kTensor)
      allowed = field_ == "dtype" ? "a string" : "an array of whole numbers";
    Refuse(Text(Where(), "found ", found, ", allowed: ", allowed));
  }

  void BeginTensor() {
    header_.entries.emplace_back().name = key_;
    fields_seen_.clear();
    offsets_.clear();
  }

  void BeginField(string_t& name) {
    field_ = std::move(name);
    if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
      Refuse(
          Text("'", key_, "': found the key '", field_, "', allowed: dtype, shape, data_offsets"));
    }
    if (!fields_seen_.insert(field_).second)
      Refuse(Text("'", key_, "': the key '", field_, "' occurs twice"));
  }

  void EndTensor() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_seen_.contains(field))
        Refuse(Text("'", key_, "': the key '", field, "' is missing"));
    }
  }

  const std::filesystem::path& path_;
  Header header_;
  Place place_ = Place::kStart;
  std::string key_;    // of the root object
  std::string field_;  // of the object inside
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> fields_seen_;
  std::vector<uint64_t> offsets_;
};

[[noreturn]] void Refuse(const std::filesystem::path& path, const std::string& what) {
  throw DataError(Text(path.string(), ": ", what,
                       ". The file is damaged or no safetensors file; copy or write it anew."));
}

}  // namespace

std::string_view SafetensorsHeaderText(std::span<const std::byte> file,
                                       const std::filesystem::path& path) {
  if (file.size() < kHeaderLengthBytes) {
    Refuse(path, Text("found ", file.size(), " bytes, a safetensors file has at least 8"));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kHeaderLengthBytes);
  if (length > kMaxHeaderBytes) {
    Refuse(path, Text("found a header length of ", length, ", allowed are ", kMaxHeaderBytes,
                      " bytes at most"));
  }
  if (length > file.size() - kHeaderLengthBytes) {
    Refuse(path, Text("found a header length of ", length, ", but only ",
                      file.size() - kHeaderLengthBytes, " bytes follow it: the file is cut short"));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kHeaderLengthBytes,
                              length);
  if (text.empty() || text.front() != '{') Refuse(path, "the header does not start with '{'");
  // The JSON library takes a NUL for the end of its input and would not look at what follows.
  if (text.find('\0') != std::string_view::npos) Refuse(path, "the header has a NUL byte");
  return text;
}

Header ParseSafetensorsHeader(std::string_view text, const std::filesystem::path& path) {
  HeaderSax sax(path);
  BASIN_CHECK(Json::sax_parse(text.begin(), text.end(), &sax), path.string(),
              ": the parser stopped without a reason");
  return std::move(sax.header());
}

}  // namespace basin::base
