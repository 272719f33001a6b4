#include "data/cifar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/message_of.h"
#include "tests/support/shared_data.h"

namespace basin::data {
namespace {

using test::MessageOf;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Pixel k of a record is (first label byte + k) mod 251.
std::string Record(const std::vector<int>& label_bytes) {
  std::string record;
  for (int label : label_bytes) record += static_cast<char>(label);
  for (int k = 0; k < 3072; ++k) record += static_cast<char>((label_bytes[0] + k) % 251);
  return record;
}

std::vector<int64_t> Labels(const Split& split) {
  const int64_t* labels = split.labels.const_data_ptr<int64_t>();
  return {labels, labels + split.size()};
}

class Cifar : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content) {
    base::WriteFileAtomically(folder_.path() / name, content);
  }
  std::string Message10() {
    return MessageOf<DataError>([&] { LoadCifar10({.path = folder_.path()}); });
  }
  std::string Message100() {
    return MessageOf<DataError>([&] { LoadCifar100({.path = folder_.path()}); });
  }
  base::TemporaryFolder folder_;
};

TEST_F(Cifar, Cifar10JoinsItsBatchesInTheOrderOfTheirNumber) {
  Write("data_batch_10.bin", Record({7}));
  Write("data_batch_2.bin", Record({3}) + Record({4}));
  Write("data_batch_1.bin", Record({9}));
  Write("data_batch_1.bin.bak", "not a batch");
  Write("test_batch.bin", Record({0}));
  const Dataset dataset = LoadCifar10({.path = folder_.path()});
  EXPECT_THAT(Labels(dataset.train), ElementsAre(9, 3, 4, 7));
  EXPECT_THAT(Labels(dataset.test), ElementsAre(0));
  const torch::Tensor expected = (torch::arange(3072) + 4).remainder(251).to(torch::kUInt8).view({3, 32, 32});
  EXPECT_TRUE(torch::equal(dataset.train.images[2], expected)) << "planar RGB";
  EXPECT_EQ(dataset.classes, 10);
}

TEST_F(Cifar, Cifar100TakesTheFineLabel) {
  Write("train.bin", Record({11, 19}) + Record({15, 99}));
  Write("test.bin", Record({4, 0}));
  const Dataset dataset = LoadCifar100({.path = folder_.path()});
  EXPECT_THAT(Labels(dataset.train), ElementsAre(19, 99));
  EXPECT_EQ(dataset.train.images[1][0][0][0].item<int>(), 15) << "the first pixel follows the second label byte";
  EXPECT_EQ(dataset.classes, 100);
}

TEST_F(Cifar, TheOfficialSubfoldersAreFound) {
  Write("cifar-10-batches-bin/data_batch_3.bin", Record({5}));
  Write("cifar-10-batches-bin/test_batch.bin", Record({6}));
  Write("cifar-100-binary/train.bin", Record({1, 50}));
  Write("cifar-100-binary/test.bin", Record({2, 60}));
  EXPECT_THAT(Labels(LoadCifar10({.path = folder_.path()}).train), ElementsAre(5));
  EXPECT_THAT(Labels(LoadCifar100({.path = folder_.path()}).test), ElementsAre(60));
}

TEST_F(Cifar, MissingFilesAreNamedWithThePlacesLookedAt) {
  EXPECT_THAT(Message10(),
              AllOf(HasSubstr("test_batch.bin, cifar-10-batches-bin/test_batch.bin"), HasSubstr("data.path")));
  EXPECT_THAT(Message100(), HasSubstr("train.bin, cifar-100-binary/train.bin"));
  Write("test_batch.bin", Record({1}));
  EXPECT_THAT(Message10(), AllOf(HasSubstr(folder_.path().string()), HasSubstr("data_batch_*.bin")));
}

TEST_F(Cifar, ARemainderIsRefused) {
  Write("test_batch.bin", Record({1}));
  Write("data_batch_1.bin", Record({1}) + Record({2}).substr(0, 3072));
  EXPECT_THAT(Message10(), AllOf(HasSubstr("data_batch_1.bin"), HasSubstr("6145 bytes"), HasSubstr("multiple of 3073"),
                                 HasSubstr("3072 bytes are left over")));
}

TEST_F(Cifar, RecordsOfTheOtherDataSetAreRefused) {
  Write("train.bin", Record({1}));
  Write("test.bin", Record({1}));
  EXPECT_THAT(Message100(), AllOf(HasSubstr("train.bin"), HasSubstr("multiple of 3074")));
}

TEST_F(Cifar, AnEmptyFileIsRefused) {
  Write("data_batch_1.bin", Record({1}));
  Write("test_batch.bin", "");
  EXPECT_THAT(Message10(), AllOf(HasSubstr("test_batch.bin"), HasSubstr("has 0 bytes"), HasSubstr("empty")));
}

TEST_F(Cifar, ALabelOutOfRangeIsNamedWithItsFile) {
  Write("test_batch.bin", Record({1}));
  Write("data_batch_1.bin", Record({1}));
  Write("data_batch_2.bin", Record({1}) + Record({10}));
  EXPECT_THAT(Message10(), AllOf(HasSubstr("data_batch_2.bin"), HasSubstr("label 1 is 10"), HasSubstr("[0, 10)")));
  Write("train.bin", Record({0, 100}));
  Write("test.bin", Record({0, 0}));
  EXPECT_THAT(Message100(), HasSubstr("label 0 is 100"));
  Write("train.bin", Record({19, 0}) + Record({20, 0}));
  EXPECT_THAT(Message100(), AllOf(HasSubstr("train.bin"), HasSubstr("coarse label 1 is 20"), HasSubstr("[0, 20)")));
}

void ExpectMoments(const Split& split, const std::vector<double>& mean, const std::vector<double>& std) {
  const Normalisation measured = MeasureNormalisation(split);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(measured.mean[c], mean[c], 5.001e-5) << "published with four digits";
    EXPECT_NEAR(measured.std[c], std[c], 5.001e-5) << "published with four digits";
  }
}

TEST(RealCifar100, HasThePublishedCountsLabelsAndMoments) {
  BASIN_REQUIRE_SHARED_DATA("cifar-100-binary");
  const Dataset dataset = LoadCifar100({.path = test::SharedData("cifar-100-binary")});
  EXPECT_EQ(dataset.train.size(), 50000);
  EXPECT_EQ(dataset.test.size(), 10000);
  std::vector<int64_t> train = Labels(dataset.train), test = Labels(dataset.test);
  train.resize(5);
  test.resize(5);
  EXPECT_THAT(train, ElementsAre(19, 29, 0, 11, 1));
  EXPECT_THAT(test, ElementsAre(49, 33, 72, 51, 71));
  EXPECT_TRUE(torch::equal(torch::bincount(dataset.train.labels), torch::full({100}, 500, torch::kInt64)));
  ExpectMoments(dataset.train, {.5071, .4865, .4409}, {.2673, .2564, .2762});
}

TEST(RealCifar10Subset, HasThePublishedCountsAndMoments) {
  BASIN_REQUIRE_SHARED_DATA("cifar-10-subset");
  const Dataset dataset = LoadCifar10({.path = test::SharedData("cifar-10-subset")});
  EXPECT_EQ(dataset.test.size(), 1000);
  EXPECT_TRUE(torch::equal(torch::bincount(dataset.train.labels), torch::full({10}, 1000, torch::kInt64)));
  EXPECT_TRUE(torch::equal(torch::bincount(dataset.test.labels),
                           torch::tensor({103, 89, 100, 103, 90, 86, 112, 102, 106, 109}, torch::kInt64)));
  ExpectMoments(dataset.train, {.4936, .4832, .4470}, {.2478, .2448, .2626});
}

}  // namespace
}  // namespace basin::data
