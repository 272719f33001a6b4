#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/error.h"
#include "tests/support/message_of.h"

namespace basin::data {
namespace {

using test::MessageOf;
using testing::AllOf;
using testing::HasSubstr;

/// Image i holds the number i in its only pixel, label i mod classes.
Split Numbered(int64_t count, int64_t classes = 10) {
  return {.images = torch::arange(count).to(torch::kFloat32).view({count, 1, 1, 1}),
          .labels = torch::arange(count).remainder(classes)};
}

Dataset Training(int64_t count) {
  Dataset dataset;
  dataset.train = Numbered(count);
  return dataset;
}

TEST(MeasureNormalisation, MatchesClosedFormsForBytes) {
  // Channel 0: half 0, half 255. Channel 1: 51 and 102, that is 0.2 and 0.4. Channel 2: constant.
  const torch::Tensor images = torch::tensor({0, 255, 51, 102, 7, 7}, torch::kUInt8).view({1, 3, 1, 2});
  const Normalisation measured = MeasureNormalisation({.images = images, .labels = torch::zeros({1}, torch::kInt64)});
  // A few roundings of double.
  EXPECT_NEAR(measured.mean[0], 0.5, 1e-15);
  EXPECT_NEAR(measured.std[0], 0.5, 1e-15);
  EXPECT_NEAR(measured.mean[1], 0.3, 1e-15);
  EXPECT_NEAR(measured.std[1], 0.1, 1e-15);
  EXPECT_NEAR(measured.mean[2], 7 / 255.0, 1e-15);
  EXPECT_EQ(measured.std[2], 1.0) << "a channel with one value is not divided by 0";
}

TEST(MeasureNormalisation, DoesNotCancelFarFromZero) {
  // Mean 1000.5, deviation 0.5: the difference of squares in float would lose it.
  const torch::Tensor images = torch::tensor({1000.0f, 1001.0f, 1000.0f, 1001.0f}).view({2, 1, 1, 2});
  const Normalisation measured = MeasureNormalisation({.images = images, .labels = torch::zeros({2}, torch::kInt64)});
  EXPECT_EQ(measured.mean[0], 1000.5);
  EXPECT_EQ(measured.std[0], 0.5);
}

TEST(MeasureNormalisation, GivesAConstantFloatChannelTheDeviationOne) {
  const torch::Tensor images = torch::full({3, 2, 2, 2}, 0.1f);
  const Normalisation measured = MeasureNormalisation({.images = images, .labels = torch::zeros({3}, torch::kInt64)});
  EXPECT_EQ(measured.std, (std::vector<double>{1, 1}));
  EXPECT_NEAR(measured.mean[1], static_cast<double>(0.1f), 1e-15) << "roundings of double";
}

TEST(SplitValidation, DividesTheExamplesAndKeepsTheirOrder) {
  Dataset dataset = Training(1000);
  SplitValidation(dataset, 0.02, /*seed=*/4);
  EXPECT_EQ(dataset.validation.size(), 20);
  EXPECT_EQ(dataset.train.size(), 980);
  for (const Split* split : {&dataset.train, &dataset.validation}) {
    const torch::Tensor numbers = split->images.flatten();
    EXPECT_TRUE((numbers.slice(0, 1) > numbers.slice(0, 0, -1)).all().item<bool>()) << "ascending, so none twice";
    EXPECT_TRUE(torch::equal(numbers.to(torch::kInt64).remainder(10), split->labels)) << "labels stay with their images";
  }
  const torch::Tensor both = torch::cat({dataset.train.images, dataset.validation.images}).flatten();
  EXPECT_TRUE(torch::equal(std::get<0>(both.sort()), torch::arange(1000).to(torch::kFloat32)));
}

TEST(SplitValidation, IsAFunctionOfTheSeed) {
  const auto held_out = [](uint64_t seed) {
    Dataset dataset = Training(500);
    SplitValidation(dataset, 0.1, seed);
    return dataset.validation.images;
  };
  EXPECT_TRUE(torch::equal(held_out(1), held_out(1)));
  EXPECT_FALSE(torch::equal(held_out(1), held_out(2)));
}

TEST(SplitValidation, RoundsToTheNearestNumberOfExamples) {
  for (const auto& [share, expected] : std::vector<std::pair<double, int64_t>>{{0, 0}, {0.04, 0}, {0.06, 1}, {0.5, 5}}) {
    Dataset dataset = Training(10);
    SplitValidation(dataset, share, 1);
    EXPECT_EQ(dataset.validation.size(), expected) << share;
    EXPECT_EQ(dataset.train.size(), 10 - expected) << share;
  }
}

TEST(SplitValidation, RefusesSharesThatCannotBe) {
  for (double share : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    Dataset dataset = Training(10);
    EXPECT_THAT(MessageOf<ConfigError>([&] { SplitValidation(dataset, share, 1); }),
                AllOf(HasSubstr("data.validation is"), HasSubstr("[0, 1)")));
  }
  Dataset dataset = Training(10);
  EXPECT_THAT(MessageOf<ConfigError>([&] { SplitValidation(dataset, 0.99, 1); }), HasSubstr("all 10 training examples"));
}

TEST(ValidateSplit, AcceptsGoodSplits) {
  EXPECT_NO_THROW(ValidateSplit(Numbered(20), 10, "here"));
  const Split smallest{.images = torch::zeros({1, 1, 1, 1}, torch::kUInt8), .labels = torch::zeros({1}, torch::kInt64)};
  EXPECT_NO_THROW(ValidateSplit(smallest, 1, "here"));
}

TEST(ValidateSplit, NamesTheLabelThatIsOutOfRange) {
  EXPECT_THAT(MessageOf<DataError>([] { ValidateSplit(Numbered(20), 9, "a/labels"); }),
              AllOf(HasSubstr("a/labels"), HasSubstr("label 9 is 9"), HasSubstr("[0, 9)")));
  Split negative = Numbered(3);
  negative.labels[2] = -1;
  EXPECT_THAT(MessageOf<DataError>([&] { ValidateSplit(negative, 10, "x"); }), HasSubstr("label 2 is -1"));
}

TEST(ValidateSplit, NamesThePixelThatIsNotFinite) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Split split{.images = torch::zeros({3, 2, 2, 2}), .labels = torch::zeros({3}, torch::kInt64)};
    split.images[1][1][0][1] = bad;
    EXPECT_THAT(MessageOf<DataError>([&] { ValidateSplit(split, 10, "file"); }),
                AllOf(HasSubstr("file: image 1 "), HasSubstr("position 5 of its 8"), HasSubstr("finite")));
  }
}

TEST(ValidateSplit, RefusesWrongShapesAndDtypes) {
  const torch::Tensor labels = torch::zeros({2}, torch::kInt64);
  const auto message = [](const torch::Tensor& images, const torch::Tensor& labels) {
    return MessageOf<DataError>([&] { ValidateSplit({.images = images, .labels = labels}, 10, "f"); });
  };
  EXPECT_THAT(message(torch::zeros({2, 4, 4}), labels), HasSubstr("[2, 4, 4]"));
  EXPECT_THAT(message(torch::zeros({0, 1, 4, 4}), labels.slice(0, 0, 0)), HasSubstr("nothing 0"));
  EXPECT_THAT(message(torch::zeros({2, 1, 4, 4}, torch::kFloat64), labels), HasSubstr("allowed: uint8, float32"));
  EXPECT_THAT(message(torch::zeros({2, 1, 4, 4}), labels.to(torch::kInt32)), HasSubstr("must be int64"));
  EXPECT_THAT(message(torch::zeros({3, 1, 4, 4}), labels), HasSubstr("[2] for 3 images"));
  EXPECT_THAT(message(torch::Tensor(), labels), HasSubstr("missing"));
}

}  // namespace
}  // namespace basin::data
