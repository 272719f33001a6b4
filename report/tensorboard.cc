#include "report/tensorboard.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "base/crc32.h"
#include "base/error.h"

namespace basin::report {
namespace {

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}

// Protobuf fields: key = number * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
std::string Field(uint32_t number, uint32_t wire_type) { return Varint(uint64_t{number} * 8 + wire_type); }
std::string VarintField(uint32_t number, int64_t value) {
  return Field(number, 0) + Varint(static_cast<uint64_t>(value));
}
std::string DoubleField(uint32_t number, double value) {
  return Field(number, 1) + LittleEndian(std::bit_cast<uint64_t>(value));
}
std::string FloatField(uint32_t number, float value) {
  return Field(number, 5) + LittleEndian(std::bit_cast<uint32_t>(value));
}
std::string BytesField(uint32_t number, std::string_view value) {
  return Field(number, 2) + Varint(value.size()) + std::string(value);
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) { return base::Crc32<base::kCastagnoliPolynomial>(std::as_bytes(std::span(bytes))); }

uint32_t MaskCrc(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U; }

std::string EventFileName(double unix_seconds, std::string_view host, int64_t process_id) {
  return Text("events.out.tfevents.", static_cast<int64_t>(unix_seconds), ".", host, ".", process_id);
}

EventWriter::EventWriter(std::filesystem::path path, double wall_time) : path_(std::move(path)) {
  std::error_code error;
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path(), error);
  errno = 0;
  file_.open(path_, std::ios::binary | std::ios::trunc);
  if (!file_)
    throw DataError(Text("cannot create ", path_.string(), ": ", error ? error.message() : std::strerror(errno)));
  WriteRecord(DoubleField(1, wall_time) + BytesField(3, "brain.Event:2"));
}

void EventWriter::Scalar(std::string_view tag, int64_t step, double wall_time, float value) {
  const std::string summary = BytesField(1, BytesField(1, tag) + FloatField(2, value));
  WriteRecord(DoubleField(1, wall_time) + VarintField(2, step) + BytesField(5, summary));
}

void EventWriter::WriteRecord(std::string_view data) {
  const std::string length = LittleEndian(static_cast<uint64_t>(data.size()));
  file_ << length << LittleEndian(MaskCrc(Crc32c(length))) << data << LittleEndian(MaskCrc(Crc32c(data)));
  file_.flush();
  if (!file_) throw DataError(Text("cannot write ", path_.string(), ": ", std::strerror(errno)));
}

}  // namespace basin::report
