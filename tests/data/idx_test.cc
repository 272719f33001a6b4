#include "data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/message_of.h"
#include "tests/support/shared_data.h"

namespace basin::data {
namespace {

using test::MessageOf;
using testing::AllOf;
using testing::HasSubstr;

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string LittleEndian(uint32_t value) {
  return {static_cast<char>(value), static_cast<char>(value >> 8), static_cast<char>(value >> 16),
          static_cast<char>(value >> 24)};
}

uint32_t Crc32(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

/// RFC 1952 around one stored block of RFC 1951.
std::string Gzip(const std::string& content) {
  const auto size = static_cast<uint32_t>(content.size());
  const std::string header("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", 10);
  const std::string lengths = LittleEndian(size).substr(0, 2) + LittleEndian(~size).substr(0, 2);
  return header + '\x01' + lengths + content + LittleEndian(Crc32(content)) + LittleEndian(size);
}

/// Three training and two test images of 2 x 3; pixel k of image i is 10 i + k, label i + 4.
class Mnist : public testing::Test {
 protected:
  Mnist() {
    for (const auto& [prefix, count] : {std::pair<std::string, int>{"train", 3}, {"t10k", 2}}) {
      Write(prefix + "-images-idx3-ubyte", Images(count));
      Write(prefix + "-labels-idx1-ubyte", Labels(count));
    }
  }
  static std::string Images(int count) {
    std::string content = BigEndian(0x803) + BigEndian(static_cast<uint32_t>(count)) + BigEndian(2) + BigEndian(3);
    for (int i = 0; i < count; ++i) {
      for (int k = 0; k < 6; ++k) content += static_cast<char>(10 * i + k);
    }
    return content;
  }
  static std::string Labels(int count) {
    std::string content = BigEndian(0x801) + BigEndian(static_cast<uint32_t>(count));
    for (int i = 0; i < count; ++i) content += static_cast<char>(i + 4);
    return content;
  }
  void Write(const std::string& name, const std::string& content) {
    base::WriteFileAtomically(folder_.path() / name, content);
  }
  void Remove(const std::string& name) { std::filesystem::remove(folder_.path() / name); }
  Dataset Load() { return LoadMnist({.path = folder_.path()}); }
  std::string Message() {
    return MessageOf<DataError>([&] { Load(); });
  }

  base::TemporaryFolder folder_;
};

TEST_F(Mnist, ReadsPlainFiles) {
  const Dataset dataset = Load();
  const torch::Tensor expected =
      (torch::arange(3).view({3, 1, 1, 1}) * 10 + torch::arange(6).view({1, 1, 2, 3})).to(torch::kUInt8);
  EXPECT_TRUE(torch::equal(dataset.train.images, expected));
  EXPECT_TRUE(torch::equal(dataset.train.labels, torch::arange(4, 7)));
  EXPECT_TRUE(torch::equal(dataset.test.images, expected.slice(0, 0, 2)));
  EXPECT_EQ(dataset.classes, 10);
}

TEST_F(Mnist, ReadsGzipFiles) {
  const Dataset plain = Load();
  for (const std::string name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"}) {
    Write(name + ".gz", Gzip(base::ReadFile(folder_.path() / name)));
    Remove(name);
  }
  EXPECT_TRUE(torch::equal(Load().train.images, plain.train.images));
  EXPECT_TRUE(torch::equal(Load().test.images, plain.test.images));
}

TEST_F(Mnist, ReadsTheFolderThatTorchvisionMakes) {
  std::filesystem::create_directories(folder_.path() / "MNIST/raw");
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    if (!entry.is_regular_file()) continue;
    std::filesystem::rename(entry.path(), folder_.path() / "MNIST/raw" / entry.path().filename());
  }
  EXPECT_EQ(Load().train.size(), 3);
}

TEST_F(Mnist, AMissingFileIsNamedWithEveryPlaceLookedAt) {
  Remove("t10k-labels-idx1-ubyte");
  EXPECT_THAT(Message(), AllOf(HasSubstr(folder_.path().string()), HasSubstr("t10k-labels-idx1-ubyte, "),
                               HasSubstr("t10k-labels-idx1-ubyte.gz"), HasSubstr("MNIST/raw"), HasSubstr("data.path")));
}

TEST_F(Mnist, AMissingFolderAndAFileInItsPlaceAreNamed) {
  EXPECT_THAT(MessageOf<DataError>([] { LoadMnist({.path = "/nowhere/at/all"}); }),
              HasSubstr("/nowhere/at/all does not exist"));
  EXPECT_THAT(MessageOf<DataError>([&] { LoadMnist({.path = folder_.path() / "train-images-idx3-ubyte"}); }),
              HasSubstr("is not a folder"));
}

TEST_F(Mnist, AFileCutShortIsRefused) {
  const std::string content = Images(3);
  Write("train-images-idx3-ubyte", content.substr(0, content.size() - 1));
  EXPECT_THAT(Message(), AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr("17 bytes"), HasSubstr("announces 18")));
  Write("train-images-idx3-ubyte", content.substr(0, 15));
  EXPECT_THAT(Message(), AllOf(HasSubstr("has 15 bytes"), HasSubstr("header alone has 16")));
}

TEST_F(Mnist, AnEmptyFileIsRefused) {
  Write("train-labels-idx1-ubyte", "");
  EXPECT_THAT(Message(), AllOf(HasSubstr("train-labels-idx1-ubyte"), HasSubstr("has 0 bytes"), HasSubstr("empty")));
}

TEST_F(Mnist, BytesAfterTheEndAreRefused) {
  Write("train-labels-idx1-ubyte", Labels(3) + "x");
  EXPECT_THAT(Message(), AllOf(HasSubstr("4 bytes"), HasSubstr("announces 3")));
}

TEST_F(Mnist, AWrongMagicIsRefused) {
  Write("train-images-idx3-ubyte", Labels(30));
  EXPECT_THAT(Message(), AllOf(HasSubstr("number 2049"), HasSubstr("images starts with 2051")));
}

TEST_F(Mnist, AnAnnouncedCountThatCannotBeIsRefusedBeforeMemoryIsTaken) {
  std::string content = Images(3);
  Write("train-images-idx3-ubyte", content.replace(4, 4, BigEndian(0xffffffff)));
  EXPECT_THAT(Message(), HasSubstr("announces 25769803770"));
  Write("train-images-idx3-ubyte", content.replace(8, 4, BigEndian(0x10000)));
  EXPECT_THAT(Message(), AllOf(HasSubstr("dimension 1 of 3 is 65536"), HasSubstr("at most 4096")));
  Write("train-images-idx3-ubyte", Images(0));
  EXPECT_THAT(Message(), HasSubstr("dimension 0 of 3 is 0"));
}

TEST_F(Mnist, AsManyLabelsAsImagesAreNeeded) {
  Write("train-labels-idx1-ubyte", Labels(4));
  EXPECT_THAT(Message(), AllOf(HasSubstr("3 images"), HasSubstr("4 labels"), HasSubstr("belong together")));
}

TEST_F(Mnist, ALabelOutOfRangeIsNamed) {
  std::string content = Labels(2);
  content.back() = 10;
  Write("t10k-labels-idx1-ubyte", content);
  EXPECT_THAT(Message(), AllOf(HasSubstr("t10k-labels-idx1-ubyte"), HasSubstr("label 1 is 10"), HasSubstr("[0, 10)")));
}

TEST_F(Mnist, ATruncatedGzipIsRefused) {
  Remove("train-images-idx3-ubyte");
  const std::string whole = Gzip(Images(3));
  // Cut in the data, in the checksum, and in the length field after it.
  for (size_t missing : {20, 6, 2}) {
    Write("train-images-idx3-ubyte.gz", whole.substr(0, whole.size() - missing));
    EXPECT_THAT(Message(), AllOf(HasSubstr("train-images-idx3-ubyte.gz"), HasSubstr("gzip stream is cut short")))
        << missing;
  }
}

TEST_F(Mnist, ADamagedGzipIsRefused) {
  Remove("train-images-idx3-ubyte");
  std::string content = Gzip(Images(3));
  content[40] ^= 1;  // a pixel: only the checksum can tell
  Write("train-images-idx3-ubyte.gz", content);
  EXPECT_THAT(Message(), AllOf(HasSubstr("train-images-idx3-ubyte.gz"), HasSubstr("gzip stream is damaged")));
}

TEST_F(Mnist, ReadsGzipMembersInARowAndRefusesAnythingElseBehindThem) {
  const std::string name = "train-images-idx3-ubyte", content = Images(3);
  const torch::Tensor expected = Load().train.images;
  Remove(name);
  Write(name + ".gz", Gzip(content.substr(0, 20)) + Gzip(content.substr(20)));
  EXPECT_TRUE(torch::equal(Load().train.images, expected));
  for (const std::string& rest : {std::string("x"), std::string(100, '\0'), std::string("more text")}) {
    Write(name + ".gz", Gzip(content) + rest);
    EXPECT_THAT(Message(), AllOf(HasSubstr("train-images-idx3-ubyte.gz"), HasSubstr("after 34 unzipped bytes"))) << rest;
  }
}

std::vector<int64_t> FirstLabels(const Split& split, int64_t count) {
  const int64_t* labels = split.labels.const_data_ptr<int64_t>();
  return {labels, labels + count};
}

TEST(RealMnist, HasThePublishedCountsLabelsAndMoments) {
  BASIN_REQUIRE_SHARED_DATA("mnist");
  const Dataset dataset = LoadMnist({.path = test::SharedData("mnist")});
  EXPECT_EQ(dataset.train.images.sizes(), at::IntArrayRef({60000, 1, 28, 28}));
  EXPECT_EQ(dataset.test.images.sizes(), at::IntArrayRef({10000, 1, 28, 28}));
  EXPECT_THAT(FirstLabels(dataset.train, 10), testing::ElementsAre(5, 0, 4, 1, 9, 2, 1, 3, 1, 4));
  const int64_t per_class[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
  for (int c = 0; c < 10; ++c) EXPECT_EQ((dataset.train.labels == c).sum().item<int64_t>(), per_class[c]);
  const Normalisation measured = MeasureNormalisation(dataset.train);
  EXPECT_NEAR(measured.mean[0], .1307, 5e-5) << "published with four digits";
  EXPECT_NEAR(measured.std[0], .3081, 5e-5) << "published with four digits";
}

TEST(RealFashionMnist, HasThePublishedCountsLabelsAndMoments) {
  BASIN_REQUIRE_SHARED_DATA("fashion-mnist");
  const Dataset dataset = LoadFashionMnist({.path = test::SharedData("fashion-mnist")});
  EXPECT_EQ(dataset.train.size(), 60000);
  EXPECT_THAT(FirstLabels(dataset.train, 10), testing::ElementsAre(9, 0, 0, 3, 0, 2, 7, 2, 5, 5));
  EXPECT_THAT(FirstLabels(dataset.test, 10), testing::ElementsAre(9, 2, 1, 1, 6, 1, 4, 6, 5, 7));
  const Normalisation measured = MeasureNormalisation(dataset.train);
  EXPECT_NEAR(measured.mean[0], .2860, 5e-5) << "published with four digits";
  EXPECT_NEAR(measured.std[0], .3530, 5e-5) << "published with four digits";
}

}  // namespace
}  // namespace basin::data
