#include "data/shapes.h"

#include <gtest/gtest.h>

#include <span>

#include "tests/support/sha256.h"

namespace basin::data {
namespace {

std::span<const uint8_t> Bytes(const torch::Tensor& images) {
  return {images.const_data_ptr<uint8_t>(), static_cast<size_t>(images.numel())};
}

std::string Sum(const std::string& text) {
  return test::Sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

// The sums below mean nothing unless the digest itself is right: the examples of FIPS 180-4.
TEST(Shapes, AreComparedWithARightDigest) {
  EXPECT_EQ(Sum(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sum("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sum("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Shapes, TrainingBytesHaveThePublishedSum) {
  const Split train = DrawShapes(kShapesTrainSeed, kShapesTrain);
  EXPECT_EQ(train.images.to(torch::kInt64).sum().item<int64_t>(), 423939924);
  EXPECT_EQ(test::Sha256(Bytes(train.images)), "5e9f1a0d3f2e32b749a597b30cb1cb5d279fb785ae094c6dd2698f786a8bd87b");
}

TEST(Shapes, TestBytesHaveThePublishedSum) {
  const Split split = DrawShapes(kShapesTestSeed, kShapesTest);
  EXPECT_EQ(split.images.to(torch::kInt64).sum().item<int64_t>(), 212166835);
  EXPECT_EQ(test::Sha256(Bytes(split.images)), "ddf300721dc8b4a46670366fd3adb3d39acb933ede1f8d323e6db3a066b5b525");
}

TEST(Shapes, FirstPixelsAreThePublishedOnes) {
  const Split split = DrawShapes(kShapesTrainSeed, 1);
  const torch::Tensor corner = split.images[0].slice(1, 0, 1).slice(2, 0, 4).squeeze(1);
  const torch::Tensor expected = torch::tensor({{0, 19, 7, 38}, {29, 36, 98, 38}, {119, 102, 110, 90}}, torch::kUInt8);
  EXPECT_TRUE(torch::equal(corner, expected)) << corner;
}

TEST(Shapes, MomentsAreThePublishedOnes) {
  const Normalisation measured = MeasureNormalisation(DrawShapes(kShapesTrainSeed, kShapesTrain));
  const double mean[] = {.3456, .3463, .3472}, std[] = {.2369, .2373, .2370};
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(measured.mean[c], mean[c], 5e-5) << "published with four digits";
    EXPECT_NEAR(measured.std[c], std[c], 5e-5) << "published with four digits";
  }
}

TEST(Shapes, AnImageDoesNotDependOnHowManyAreDrawn) {
  const Split few = DrawShapes(7, 12), many = DrawShapes(7, 30);
  EXPECT_TRUE(torch::equal(few.images, many.images.slice(0, 0, 12)));
  EXPECT_TRUE(torch::equal(many.labels, torch::arange(30).remainder(10)));
}

TEST(Shapes, LimitsGiveTheFirstImages) {
  const Dataset dataset = LoadShapes({.train_limit = 3, .test_limit = 5000});
  EXPECT_TRUE(torch::equal(dataset.train.images, DrawShapes(kShapesTrainSeed, 3).images));
  EXPECT_EQ(dataset.test.size(), kShapesTest);
  EXPECT_EQ(dataset.classes, 10);
}

}  // namespace
}  // namespace basin::data
