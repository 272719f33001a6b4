#include "report/tensorboard.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/files.h"

namespace basin::report {
namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// {wall_time 0, file_version "brain.Event:2"} as TensorFlow writes it.
const std::string kVersionRecord = FromHex(
    "1800000000000000"
    "a37f4b22"
    "0900000000000000001a0d627261696e2e4576656e743a32"
    "eedf28a3");
// {wall_time 0, step 1, summary {value {tag "loss", simple_value 0.5}}}
const std::string kLossEvent = FromHex(
    "090000000000000000"
    "1001"
    "2a0d"
    "0a0b"
    "0a046c6f7373"
    "150000003f");

TEST(Crc32c, MatchesThePublishedCheckValue) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(MaskCrc(0xE3069283U), 0xC78AB0E5U);
  // RFC 3720, appendix B.4: 32 bytes of zeros.
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);
}

TEST(EventWriter, WritesTheGoldenBytes) {
  const base::TemporaryFolder folder;
  const auto path = folder.path() / "new" / "events.out.tfevents.0.host.1";
  EventWriter writer(path, /*wall_time=*/0);
  EXPECT_EQ(base::ReadFile(path), kVersionRecord);
  writer.Scalar("loss", 1, 0, 0.5F);
  const std::string record = base::ReadFile(path).substr(kVersionRecord.size());  // readable before the writer ends
  EXPECT_EQ(record.substr(0, 8), FromHex("1a00000000000000"));
  EXPECT_EQ(record.substr(12, kLossEvent.size()), kLossEvent);
  EXPECT_EQ(record.size(), 8 + 4 + kLossEvent.size() + 4);
  uint32_t crc = 0;
  std::memcpy(&crc, record.data() + 8, 4);
  EXPECT_EQ(crc, MaskCrc(Crc32c(record.substr(0, 8))));
  std::memcpy(&crc, record.data() + 12 + kLossEvent.size(), 4);
  EXPECT_EQ(crc, MaskCrc(Crc32c(kLossEvent)));
}

TEST(EventWriter, WritesTheBytesThatTensorBoardsOwnWriterWrites) {
  // The same events as tests/golden/tensorboard_events.py.
  const base::TemporaryFolder folder;
  EventWriter writer(folder.path() / "events", 1700000000.0);
  writer.Scalar("step/loss", 1, 1700000000.25, 0.5F);
  writer.Scalar("eval/accuracy", 300, 1700000001.5, 0.9265F);
  writer.Scalar(std::string(200, 't'), int64_t{1} << 40, 1700000002.75, -1e-30F);
  writer.Scalar("step/lr", 7, 1700000003.0, 3.4e38F);
  EXPECT_EQ(base::ReadFile(writer.path()), base::ReadFile(std::filesystem::path(BASIN_SOURCE_DIR) / "tests/golden/events.tfevents"));
}

TEST(EventWriter, WritesLongTagsAndLargeStepsAsVarints) {
  const base::TemporaryFolder folder;
  EventWriter writer(folder.path() / "events", 0);
  writer.Scalar(std::string(200, 't'), 300, 0, 0);
  const std::string bytes = base::ReadFile(writer.path());
  EXPECT_NE(bytes.find(FromHex("10ac02")), std::string::npos);              // step 300
  EXPECT_NE(bytes.find(FromHex("0ac801") + "ttt"), std::string::npos);      // tag of 200 bytes
  EXPECT_NE(bytes.find(FromHex("2ad3010ad0010ac801")), std::string::npos);  // summary 211, value 208, tag 200
}

TEST(EventWriter, SaysWhichFileCannotBeCreated) {
  const base::TemporaryFolder folder;
  base::WriteFileAtomically(folder.path() / "file", "");
  try {
    EventWriter writer(folder.path() / "file" / "events", 0);
    FAIL() << "a file was taken for a folder";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find((folder.path() / "file" / "events").string()), std::string::npos);
  }
}

TEST(EventFileName, HasTheFormThatTensorBoardLooksFor) {
  EXPECT_EQ(EventFileName(1700000000.9, "node1", 42), "events.out.tfevents.1700000000.node1.42");
}

}  // namespace
}  // namespace basin::report
