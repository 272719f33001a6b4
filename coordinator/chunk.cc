#include "coordinator/chunk.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace basin::coordinator {
namespace {

using google::protobuf::internal::WireFormatLite;
namespace io = google::protobuf::io;

constexpr uint32_t kDataTag = WireFormatLite::MakeTag(v1::WeightsChunk::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

using Keeper = std::shared_ptr<const void>;

/// A slice of gRPC's that holds a keeper as long as gRPC holds the slice.
grpc::Slice Borrowed(std::span<const std::byte> bytes, const Keeper& keeper) {
  // gRPC's slices are of bytes that may change; it changes none that it sends.
  return {const_cast<std::byte*>(bytes.data()), bytes.size(), [](void* held) { delete static_cast<Keeper*>(held); },
          new Keeper(keeper)};
}

}  // namespace

void Chunk::SetData(std::span<const std::byte> bytes, std::shared_ptr<const void> keeper) {
  slices_.clear();
  keeper_ = std::move(keeper);
  parts_.assign(bytes.empty() ? 0 : 1, bytes);
}

size_t Chunk::data_bytes() const {
  size_t bytes = 0;
  for (const auto part : parts_) bytes += part.size();
  return bytes;
}

grpc::ByteBuffer Chunk::ToWire() const {
  BASIN_CHECK(head.data().empty() && slices_.empty(), "a chunk's payload is given by SetData");
  std::string front = head.SerializeAsString();
  if (parts_.empty()) {
    const grpc::Slice only(front);
    return {&only, 1};
  }
  {
    io::StringOutputStream stream(&front);  // appends
    io::CodedOutputStream out(&stream);
    out.WriteTag(kDataTag);
    out.WriteVarint32(static_cast<uint32_t>(data_bytes()));
  }
  std::vector<grpc::Slice> slices{grpc::Slice(front)};
  for (const auto part : parts_) slices.push_back(Borrowed(part, keeper_));
  return {slices.data(), slices.size()};
}

bool Chunk::TakeFromWire(grpc::ByteBuffer& wire) {
  keeper_.reset();
  slices_.clear();
  parts_.clear();
  return wire.Dump(&slices_).ok() && FindData(wire);
}

// Finds `data` as protobuf's own parser does: fields in any order, unknown ones too, and of several `data` the last one
// counts. All else goes to that parser, byte for byte.
bool Chunk::FindData(grpc::ByteBuffer& wire) {
  constexpr int kMaxVarint32 = 5;  // bytes; protobuf's parser takes no longer ones for tags and lengths
  grpc::ProtoBufferReader stream(&wire);
  io::CodedInputStream in(&stream);
  std::string front;
  for (;;) {
    const int begin = in.CurrentPosition();
    const uint32_t tag = in.ReadTag();
    const int after_tag = in.CurrentPosition();
    if (tag == 0) return in.ConsumedEntireMessage() && head.ParseFromString(front);
    if (after_tag - begin > kMaxVarint32) return false;
    if (tag == kDataTag) {
      uint32_t size = 0;
      if (!in.ReadVarint32(&size) || in.CurrentPosition() - after_tag > kMaxVarint32) return false;
      const auto data = static_cast<size_t>(in.CurrentPosition());
      if (size > wire.Length() - data || !in.Skip(static_cast<int>(size))) return false;
      parts_ = Range(data, size);
    } else {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      for (const auto part : Range(static_cast<size_t>(begin), static_cast<size_t>(in.CurrentPosition() - begin)))
        front.append(reinterpret_cast<const char*>(part.data()), part.size());
    }
  }
}

std::vector<std::span<const std::byte>> Chunk::Range(size_t begin, size_t size) const {
  std::vector<std::span<const std::byte>> parts;
  for (auto slice = slices_.begin(); size > 0; ++slice) {
    const size_t skipped = std::min(begin, slice->size()), taken = std::min(size, slice->size() - skipped);
    if (taken > 0) parts.push_back(std::as_bytes(std::span(slice->begin() + skipped, taken)));
    begin -= skipped;
    size -= taken;
  }
  return parts;
}

}  // namespace basin::coordinator
