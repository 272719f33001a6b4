// A message of a stream of weights whose payload is never copied. On the wire it is a v1::WeightsChunk; generated code
// would copy `data` twice on its way into the connection and twice on its way out.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "coordinator/piece_hashes.h"
#include "proto/coordinator.pb.h"

namespace basin::coordinator {

/// Move-only: `data` points into what it holds.
class Chunk {
 public:
  Chunk() = default;
  Chunk(Chunk&&) = default;
  Chunk& operator=(Chunk&&) = default;

  v1::WeightsChunk head;  ///< all fields but `data`, which stays empty

  /// To be sent: bytes that `keeper` keeps alive. gRPC may hold them beyond the end of the call.
  void SetData(std::span<const std::byte> bytes, std::shared_ptr<const void> keeper);
  /// As they lie in memory, in order; none of them empty.
  Parts data() const { return parts_; }
  size_t data_bytes() const;

 private:
  friend class grpc::SerializationTraits<Chunk, void>;
  grpc::ByteBuffer ToWire() const;
  /// False: the bytes are no WeightsChunk.
  bool TakeFromWire(grpc::ByteBuffer& wire);
  bool FindData(grpc::ByteBuffer& wire);
  /// Of the bytes that came.
  std::vector<std::span<const std::byte>> Range(size_t begin, size_t size) const;

  std::vector<grpc::Slice> slices_;
  std::vector<std::span<const std::byte>> parts_;
  std::shared_ptr<const void> keeper_;
};

}  // namespace basin::coordinator

template <>
class grpc::SerializationTraits<basin::coordinator::Chunk, void> {
 public:
  static Status Serialize(const basin::coordinator::Chunk& chunk, ByteBuffer* wire, bool* own_buffer) {
    *wire = chunk.ToWire();
    *own_buffer = true;
    return Status::OK;
  }
  static Status Deserialize(ByteBuffer* wire, basin::coordinator::Chunk* chunk) {
    const bool taken = wire != nullptr && wire->Valid() && chunk->TakeFromWire(*wire);
    if (wire != nullptr) wire->Clear();
    return taken ? Status::OK : Status(StatusCode::INTERNAL, "a message that is no chunk of weights");
  }
};
