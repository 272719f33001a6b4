#include "base/zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "base/crc32.h"
#include "base/error.h"

namespace basin::base {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string Text8(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(Crc32, HasThePublishedCheckValues) {
  EXPECT_EQ(Crc32<kZipPolynomial>(Bytes("123456789")), 0xcbf43926U);
  EXPECT_EQ(Crc32<kCastagnoliPolynomial>(Bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(Crc32<kZipPolynomial>({}), 0U);
}

TEST(Crc32, EightBytesAtATimeIsTheSameAsBitByBit) {
  std::string text;
  for (int length = 0; length < 40; ++length) {
    uint32_t crc = 0xFFFFFFFFU;
    for (const char c : text) {
      crc ^= static_cast<uint8_t>(c);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kZipPolynomial : 0U);
    }
    EXPECT_EQ(Crc32<kZipPolynomial>(Bytes(text)), crc ^ 0xFFFFFFFFU) << length;
    text += static_cast<char>(length * 37 + 200);
  }
}

class Zip : public testing::Test {
 protected:
  Zip() : path_(folder_.path() / "a.zip") {}
  std::string Write(const std::vector<std::pair<std::string, std::string>>& entries) const {
    ZipWriter writer(path_);
    for (const auto& [name, content] : entries) writer.Add(name, Bytes(content));
    writer.Commit();
    return ReadFile(path_);
  }
  void ExpectRefused(const std::string& file, const std::string& why) const {
    WriteFileAtomically(path_, file);
    EXPECT_THAT([&] { ZipReader reader(path_); }, ThrowsMessage<DataError>(HasSubstr(why)));
  }
  TemporaryFolder folder_;
  std::filesystem::path path_;
};

TEST_F(Zip, ReadsWhatItWrote) {
  Write({{"x/a", "one"}, {"x/empty", ""}, {"x/b", std::string(5000, 'b')}});
  const ZipReader reader(path_);
  ASSERT_EQ(reader.entries().size(), 3u);
  EXPECT_EQ(Text8(reader.entries().at("x/a")), "one");
  EXPECT_EQ(reader.entries().at("x/empty").size(), 0u);
  EXPECT_EQ(Text8(reader.entries().at("x/b")), std::string(5000, 'b'));
}

TEST_F(Zip, EveryEntryBeginsAtAMultipleOfSixtyFour) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (int k = 0; k < 130; ++k)
    entries.emplace_back("n" + std::string(static_cast<size_t>(k), 'x'), std::string(static_cast<size_t>(k), 'y'));
  Write(entries);
  // The map begins at a page.
  const ZipReader reader(path_);
  for (const auto& [name, bytes] : reader.entries()) EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % 64, 0U) << name;
}

TEST_F(Zip, AnEmptyArchiveIsOne) {
  Write({});
  EXPECT_TRUE(ZipReader(path_).entries().empty());
}

TEST_F(Zip, TheBytesDependOnTheContentAlone) {
  const std::string first = Write({{"a", "1"}});
  EXPECT_EQ(Write({{"a", "1"}}), first);
}

TEST_F(Zip, EveryCutIsRefused) {
  const std::string file = Write({{"a/data.pkl", "content"}, {"b", "more"}});
  for (size_t length = 0; length < file.size(); ++length) {
    WriteFileAtomically(path_, file.substr(0, length));
    EXPECT_THROW(ZipReader reader(path_), DataError) << length;
  }
}

TEST_F(Zip, ADamagedPayloadIsFoundByItsChecksum) {
  std::string file = Write({{"a", "content"}});
  file[file.find("content")] ^= 1;
  ExpectRefused(file, "entry a is damaged");
}

TEST_F(Zip, ACompressedEntryIsRefused) {
  std::string file = Write({{"a", "content"}});
  file[file.find("PK\x01\x02") + 10] = 8;  // deflate
  ExpectRefused(file, "entry a is compressed or encrypted");
}

TEST_F(Zip, AnEntryThatIsThereTwiceIsRefused) {
  Write({{"a", "1"}, {"a", "2"}});
  EXPECT_THAT([&] { ZipReader reader(path_); }, ThrowsMessage<DataError>(HasSubstr("entry a is there twice")));
}

TEST_F(Zip, NoSingleByteChangeMakesItReadOutsideTheFile) {
  const std::string file = Write({{"a", "content"}, {"b", ""}});
  for (size_t at = 0; at < file.size(); ++at) {
    for (const char value : {'\0', '\xff'}) {
      std::string spoilt = file;
      spoilt[at] = value;
      WriteFileAtomically(path_, spoilt);
      try {
        ZipReader reader(path_);
      } catch (const DataError&) {
      }  // what else it throws, or a fault, fails the test
    }
  }
}

}  // namespace
}  // namespace basin::base
