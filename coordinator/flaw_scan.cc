#include "coordinator/flaw_scan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/average.h"
#include "base/error.h"
#include "base/safetensors_header.h"

namespace basin::coordinator {
namespace {

using Bytes = std::span<const std::byte>;

// Headers of networks have some hundred KB. A longer one is not kept in memory: 64 streams may bring one each.
constexpr uint64_t kMaxHeaderKept = 4 << 20;

std::optional<base::DType> FloatingType(std::string_view name) {
  for (const base::DType dtype : {base::DType::kF32, base::DType::kF64, base::DType::kF16, base::DType::kBF16}) {
    if (base::DTypeName(dtype) == name) return dtype;
  }
  return std::nullopt;
}

std::string Words(const std::string& name, int64_t element) {
  return Text("tensor ", name, " has a value that is not finite (element ", element, ")");
}

void Append(std::string& to, Bytes bytes) { to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }

}  // namespace

std::string FlawOf(const base::SafetensorsReader& file) {
  for (const base::TensorView& tensor : file.tensors()) {
    const int64_t at = base::FirstNonFinite(tensor.dtype, tensor.bytes.data(), tensor.num_elements());
    if (at >= 0) return Words(tensor.name, at);
  }
  return {};
}

void FlawScan::Take(Bytes bytes) {
  while (!bytes.empty() && state_ < State::kDone) bytes = state_ == State::kData ? TakeData(bytes) : TakeHeader(bytes);
}

std::optional<std::string> FlawScan::flaw() const {
  if (state_ == State::kData || state_ == State::kDone) return flaw_;
  return std::nullopt;
}

Bytes FlawScan::TakeHeader(Bytes bytes) {
  const uint64_t wanted = state_ == State::kLength ? base::kHeaderLengthBytes : header_bytes_;
  const auto taken = bytes.first(std::min<uint64_t>(bytes.size(), wanted - header_.size()));
  Append(header_, taken);
  if (header_.size() < wanted) return bytes.subspan(taken.size());
  if (state_ == State::kLength) {
    std::memcpy(&header_bytes_, header_.data(), base::kHeaderLengthBytes);
    state_ = header_bytes_ > 0 && header_bytes_ <= kMaxHeaderKept ? State::kHeader : State::kBlind;
    header_.clear();
  } else {
    ReadHeader();
  }
  return bytes.subspan(taken.size());
}

void FlawScan::ReadHeader() {
  state_ = State::kData;
  try {
    for (base::HeaderEntry& entry : base::ParseSafetensorsHeader(header_, "header").entries) {
      if (const auto dtype = FloatingType(entry.dtype); dtype && entry.begin < entry.end)
        stretches_.push_back({std::move(entry.name), *dtype, entry.begin, entry.end});
    }
  } catch (const DataError&) {
    state_ = State::kBlind;
  }
  header_ = {};
  std::ranges::sort(stretches_, {}, &Stretch::begin);
}

Bytes FlawScan::TakeData(Bytes bytes) {
  if (next_ == stretches_.size()) {
    state_ = State::kDone;
    return {};
  }
  const Stretch& at = stretches_[next_];
  const bool inside = position_ >= at.begin;
  const uint64_t left = inside ? at.end - std::min(position_, at.end) : at.begin - position_;
  const auto taken = bytes.first(std::min<uint64_t>(bytes.size(), left));
  if (inside) LookAt(at, taken);
  position_ += taken.size();
  if (position_ >= at.end) {
    ++next_;
    broken_.clear();
  }
  return bytes.subspan(taken.size());
}

void FlawScan::LookAt(const Stretch& at, Bytes bytes) {
  const auto value_bytes = static_cast<uint64_t>(base::DTypeBits(at.dtype) / 8);
  uint64_t from = position_ - at.begin;
  if (!broken_.empty()) {
    from -= broken_.size();
    const auto rest = bytes.first(std::min<uint64_t>(bytes.size(), value_bytes - broken_.size()));
    Append(broken_, rest);
    bytes = bytes.subspan(rest.size());
    if (broken_.size() < value_bytes) return;
    Check(at, reinterpret_cast<const std::byte*>(broken_.data()), from / value_bytes, 1);
    broken_.clear();
    from += value_bytes;
  }
  const uint64_t count = bytes.size() / value_bytes;
  Check(at, bytes.data(), from / value_bytes, count);
  Append(broken_, bytes.subspan(count * value_bytes));
}

void FlawScan::Check(const Stretch& at, const std::byte* values, uint64_t from, uint64_t count) {
  const int64_t found = base::FirstNonFinite(at.dtype, values, static_cast<int64_t>(count));
  if (found < 0 || !flaw_.empty()) return;
  flaw_ = Words(at.name, static_cast<int64_t>(from) + found);
  state_ = State::kDone;  // the first one is all there is to say
}

}  // namespace basin::coordinator
