#include "coordinator/flaw_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/files.h"

namespace basin::coordinator {
namespace {

using base::DType;

/// Bytes of a file of several types in which one byte range holds ones only: not finite where it hits a floating tensor.
std::string FileWith(size_t ones_at, size_t ones) {
  const base::TemporaryFolder folder;
  const std::string zeros(64, '\0');
  const auto bytes = [&](size_t size) { return std::as_bytes(std::span(zeros)).first(size); };
  base::WriteSafetensors(folder.path() / "f", {{"a", DType::kF64, {2}, bytes(16)},
                                               {"b", DType::kF32, {3}, bytes(12)},
                                               {"c", DType::kI32, {3}, bytes(12)},
                                               {"d", DType::kF16, {5}, bytes(10)},
                                               {"e", DType::kBF16, {1}, bytes(2)},
                                               {"f", DType::kF32, {0}, {}}});
  std::string file = base::ReadFile(folder.path() / "f");
  const size_t begin = file.size() - 52;
  std::memset(file.data() + begin + ones_at, 0xff, ones);
  return file;
}

std::optional<std::string> Scanned(const std::string& file, size_t part) {
  FlawScan scan;
  for (size_t at = 0; at < file.size(); at += part)
    scan.Take(std::as_bytes(std::span(file)).subspan(at, std::min(part, file.size() - at)));
  return scan.flaw();
}

TEST(FlawScan, SaysWhatAReaderOfTheFileSaysHoweverTheBytesCome) {
  const base::TemporaryFolder folder;
  for (size_t at = 0; at < 52; at += 2) {
    const std::string file = FileWith(at, 52 - at < 8 ? 52 - at : 8);
    base::WriteFileAtomically(folder.path() / "g", file);
    const std::string expected = FlawOf(base::SafetensorsReader(folder.path() / "g"));
    for (const size_t part : {1, 2, 3, 5, 7, 8, 13, 64, 1000}) EXPECT_EQ(Scanned(file, part), expected) << at << " " << part;
  }
}

TEST(FlawScan, NamesTheFirstOfSeveral) {
  for (const size_t part : {1, 3, 1000})
    EXPECT_EQ(Scanned(FileWith(20, 32), part), "tensor b has a value that is not finite (element 1)");
}

TEST(FlawScan, FindsNothingInWholeNumbersAndInFiniteValues) {
  EXPECT_EQ(Scanned(FileWith(28, 12), 5), "");
  EXPECT_EQ(Scanned(FileWith(0, 0), 5), "");
}

TEST(FlawScan, AHeaderThatCannotBeReadOrIsTooLongIsNotLookedInto) {
  EXPECT_EQ(Scanned(std::string(8, '\0'), 3), std::nullopt);
  EXPECT_EQ(Scanned(std::string("\x03\0\0\0\0\0\0\0{x}", 11), 4), std::nullopt);
  EXPECT_EQ(Scanned(std::string("\0\0\0\x06\0\0\0\0{", 9), 4), std::nullopt);  // 96 MiB
  EXPECT_EQ(Scanned("abc", 1), std::nullopt);
}

TEST(FlawScan, ALayoutThatNoFileHasDoesNoHarm) {
  for (const char* offsets : {"[4,8],[0,4]", "[0,4],[0,4]", "[0,3],[1,2]", "[8,18446744073709551615],[0,4]", "[4,0],[0,9]"}) {
    const std::string all = offsets, first = all.substr(0, all.find("],") + 1), second = all.substr(first.size() + 1);
    const std::string begin = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)";
    const std::string header = begin + first + R"(},"b":{"dtype":"F64","shape":[1],"data_offsets":)" + second + "}}";
    const uint64_t length = header.size();
    std::string file(reinterpret_cast<const char*>(&length), 8);
    file += header + std::string(30, '\xff');
    for (const size_t part : {1, 3, 100}) Scanned(file, part);
  }
}

}  // namespace
}  // namespace basin::coordinator
