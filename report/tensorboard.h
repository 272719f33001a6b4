// Scalars for TensorBoard: event protobufs in TFRecord framing, without either library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace basin::report {

/// CRC-32C (Castagnoli) of the bytes, and TFRecord's masked form of a checksum.
uint32_t Crc32c(std::string_view bytes);
uint32_t MaskCrc(uint32_t crc);

/// "events.out.tfevents.<unix seconds>.<host>.<process id>": the form by which TensorBoard finds the file.
std::string EventFileName(double unix_seconds, std::string_view host, int64_t process_id);

/// Writes one event file; TensorBoard may read along, each record is flushed. Times are seconds since 1970. One thread.
/// DataError with path and reason when the file cannot be created or written.
class EventWriter {
 public:
  /// Creates the file (an old one of this name is replaced) and missing folders.
  EventWriter(std::filesystem::path path, double wall_time);
  void Scalar(std::string_view tag, int64_t step, double wall_time, float value);
  const std::filesystem::path& path() const { return path_; }

 private:
  void WriteRecord(std::string_view data);

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace basin::report
