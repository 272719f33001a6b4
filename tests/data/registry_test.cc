#include "data/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "data/shapes.h"
#include "tests/support/message_of.h"
#include "tests/support/shared_data.h"

namespace basin::data {
namespace {

using test::MessageOf;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Registry, KnowsTheDataSetsAndWhichOfThemNeedFiles) {
  EXPECT_THAT(DatasetNames(), ElementsAre("shapes", "mnist", "fashion-mnist", "cifar10", "cifar100", "tensors"));
  for (const std::string& name : DatasetNames()) EXPECT_EQ(NeedsPath(name), name != "shapes") << name;
}

TEST(Registry, SuggestsTheNearestNameForAnUnknownOne) {
  EXPECT_THAT(MessageOf<ConfigError>([] { LoadDataset({.name = "mnis"}); }),
              AllOf(HasSubstr("data.name is 'mnis'"), HasSubstr("fashion-mnist, cifar10"),
                    HasSubstr("Did you mean 'mnist'?")));
  EXPECT_THAT(MessageOf<ConfigError>([] { NeedsPath("imagenet-22k"); }), HasSubstr("allowed: shapes"));
}

TEST(Registry, AsksForAMissingPath) {
  EXPECT_THAT(MessageOf<ConfigError>([] { LoadDataset({.name = "cifar10"}); }),
              AllOf(HasSubstr("data.path is missing"), HasSubstr("cifar10")));
}

TEST(Registry, RefusesLimitsBelowOne) {
  EXPECT_THAT(MessageOf<ConfigError>([] { LoadDataset({.train_limit = 0}); }), HasSubstr("data.train_limit is 0"));
  EXPECT_THAT(MessageOf<ConfigError>([] { LoadDataset({.test_limit = -3}); }), HasSubstr("data.test_limit is -3"));
}

TEST(Registry, LimitsTheTrainingExamplesBeforeItHoldsSomeOut) {
  const auto dataset = LoadDataset({.train_limit = 100, .test_limit = 7, .validation = 0.1});
  EXPECT_EQ(dataset->name, "shapes");
  EXPECT_EQ(dataset->train.size(), 90);
  EXPECT_EQ(dataset->validation.size(), 10);
  EXPECT_EQ(dataset->test.size(), 7);
  // The 100 are the first 100: their bytes add up.
  const auto sum = [](const Split& split) { return split.images.to(torch::kInt64).sum().item<int64_t>(); };
  EXPECT_EQ(sum(dataset->train) + sum(dataset->validation), sum(DrawShapes(kShapesTrainSeed, 100)));
}

void ExpectSameSizes(const Dataset& outline, const Dataset& loaded) {
  EXPECT_EQ(outline.name, loaded.name);
  EXPECT_EQ(outline.classes, loaded.classes);
  for (Split Dataset::* split : {&Dataset::train, &Dataset::validation, &Dataset::test}) {
    EXPECT_EQ((outline.*split).size(), (loaded.*split).size());
    EXPECT_EQ((outline.*split).images.sizes().slice(1), (loaded.train.images.sizes().slice(1)));
  }
}

TEST(Registry, OutlinesADataSetAsItWouldBeLoaded) {
  for (const DataOptions& options : {DataOptions{}, DataOptions{.train_limit = 101, .test_limit = 7, .validation = 0.1}}) {
    const DatasetOutline outline = OutlineDataset(options);
    EXPECT_FALSE(outline.as_published);
    ExpectSameSizes(*outline.dataset, *LoadDataset(options));
  }
  EXPECT_EQ(OutlineDataset({.validation = 0}).dataset->validation.size(), 0);
}

TEST(Registry, OutlinesFilesThatAreMissingAsTheyWerePublished) {
  const DatasetOutline cifar = OutlineDataset({.name = "cifar100", .path = "/nowhere", .train_limit = 49'000, .validation = 0.02});
  EXPECT_TRUE(cifar.as_published);
  EXPECT_EQ(cifar.dataset->train.size(), 48'020);
  EXPECT_EQ(cifar.dataset->validation.size(), 980);
  EXPECT_EQ(cifar.dataset->test.size(), 10'000);
  EXPECT_EQ(cifar.dataset->train.images.sizes().slice(1), (std::vector<int64_t>{3, 32, 32}));
  EXPECT_EQ(OutlineDataset({.name = "mnist", .path = "/nowhere", .validation = 0}).dataset->train.images.sizes(),
            (std::vector<int64_t>{60'000, 1, 28, 28}));
  EXPECT_THROW(OutlineDataset({.name = "tensors", .path = "/nowhere"}), DataError);
  EXPECT_THROW(OutlineDataset({.name = "mnist", .path = "/nowhere", .train_limit = 0}), ConfigError);
  EXPECT_THROW(OutlineDataset({.name = "mnist", .path = "/nowhere", .validation = 1}), ConfigError);
}

TEST(Registry, ALimitAboveTheSizeTakesAll) {
  const auto dataset = LoadDataset({.train_limit = 1000000, .test_limit = 1000000, .validation = 0});
  EXPECT_EQ(dataset->train.size(), kShapesTrain);
  EXPECT_EQ(dataset->test.size(), kShapesTest);
  EXPECT_EQ(dataset->validation.size(), 0);
}

TEST(Registry, NormalisesByTheConfigurationFirst) {
  const Normalisation given{.mean = {.1, .2, .3}, .std = {1, 2, 3}};
  const DataOptions options{.train_limit = 10, .test_limit = 10, .normalise = given};
  EXPECT_EQ(LoadDataset(options)->normalisation.mean, given.mean);
  EXPECT_EQ(LoadDataset(options)->normalisation.std, given.std);
  const auto by_default = LoadDataset({.train_limit = 10, .test_limit = 10});
  EXPECT_THAT(by_default->normalisation.mean, ElementsAre(.3456, .3463, .3472)) << "of all 4000, whatever the limit";
}

TEST(Registry, RefusesConstantsThatDoNotFitTheImages) {
  const auto message = [](const Normalisation& given) {
    return MessageOf<ConfigError>([&] { LoadDataset({.train_limit = 10, .test_limit = 10, .normalise = given}); });
  };
  EXPECT_THAT(message({.mean = {.5}, .std = {.5}}), AllOf(HasSubstr("data.normalize"), HasSubstr("3 channels")));
  EXPECT_THAT(message({.mean = {0, 0, 0}, .std = {1, 0, 1}}),
              AllOf(HasSubstr("std 0 for channel 1"), HasSubstr("above 0")));
}

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

TEST(Registry, RefusesTestImagesOfAnotherSize) {
  const base::TemporaryFolder folder;
  for (const auto& [prefix, side] : {std::pair<std::string, uint32_t>{"train", 2}, {"t10k", 3}}) {
    const std::string extents = BigEndian(1) + BigEndian(side) + BigEndian(side);
    base::WriteFileAtomically(folder.path() / (prefix + "-images-idx3-ubyte"),
                              BigEndian(0x803) + extents + std::string(side * side, 'x'));
    base::WriteFileAtomically(folder.path() / (prefix + "-labels-idx1-ubyte"), BigEndian(0x801) + BigEndian(1) + '\1');
  }
  EXPECT_THAT(MessageOf<DataError>([&] { LoadDataset({.name = "mnist", .path = folder.path()}); }),
              AllOf(HasSubstr(folder.path().string()), HasSubstr("[1, 2, 2]"), HasSubstr("[1, 3, 3]")));
}

TEST(Registry, LoadsRealMnistWithItsPublishedConstants) {
  BASIN_REQUIRE_SHARED_DATA("mnist");
  const auto dataset =
      LoadDataset({.name = "mnist", .path = test::SharedData("mnist"), .train_limit = 500, .test_limit = 50});
  EXPECT_EQ(dataset->train.size() + dataset->validation.size(), 500);
  EXPECT_EQ(dataset->validation.size(), 10);
  EXPECT_THAT(dataset->normalisation.mean, ElementsAre(.1307));
  EXPECT_THAT(dataset->normalisation.std, ElementsAre(.3081));
  EXPECT_EQ(dataset->train.images.storage().nbytes(), 490u * 784) << "the other images' memory is given back";
}

}  // namespace
}  // namespace basin::data
