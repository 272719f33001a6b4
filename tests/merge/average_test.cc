#include "merge/average.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "tests/support/random_tensor.h"

namespace basin::merge {
namespace {

using models::StateDict;
using test::NormalTensor;
using ::testing::HasSubstr;

constexpr int64_t kLength = 2500;  // two whole blocks of the kernel and a part of one

bool SameBits(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(), a.nbytes()) == 0;
}

std::vector<torch::Tensor> Random(int64_t networks, torch::ScalarType type, uint64_t seed = 1) {
  base::Stream stream({.run_seed = seed});
  std::vector<torch::Tensor> tensors;
  for (int64_t k = 0; k < networks; ++k) tensors.push_back(NormalTensor({kLength}, stream).to(type));
  return tensors;
}

/// The values of coordinate i in the order of the networks.
std::vector<double> Column(const std::vector<torch::Tensor>& tensors, int64_t i) {
  std::vector<double> column;
  for (const torch::Tensor& tensor : tensors) column.push_back(tensor[i].item<double>());
  return column;
}

class FloatTypes : public ::testing::TestWithParam<torch::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(All, FloatTypes,
                         ::testing::Values(torch::kFloat32, torch::kFloat64, torch::kFloat16, torch::kBFloat16));

TEST_P(FloatTypes, TheMeanOfIdenticalNetworksIsTheNetworkToTheBit) {
  torch::Tensor tensor = Random(1, GetParam())[0];
  tensor[0] = -0.0;
  tensor[1] = 1e-7;  // subnormal in float16
  for (int64_t networks = 1; networks <= 12; ++networks) {
    const std::vector<torch::Tensor> same(networks, tensor);
    EXPECT_TRUE(SameBits(AverageTensors(same, {}), tensor)) << networks << " networks";
    EXPECT_TRUE(SameBits(AverageTensors(same, {.method = AverageMethod::kMedian}), tensor)) << networks << " networks";
  }
}

TEST(AverageTensors, GivesTheMeanSummedInDoubleInTheOrderGiven) {
  for (int64_t networks = 1; networks <= 6; ++networks) {
    const auto tensors = Random(networks, torch::kFloat32);
    torch::Tensor expected = torch::empty({kLength});
    for (int64_t i = 0; i < kLength; ++i) {
      double sum = 0;
      for (const double value : Column(tensors, i)) sum += value;
      expected[i] = static_cast<float>(sum / static_cast<double>(networks));
    }
    EXPECT_TRUE(torch::equal(AverageTensors(tensors, {}), expected)) << networks << " networks";
  }
}

TEST(AverageTensors, DoesNotDependOnTheNumberOfThreads) {
  base::Stream stream({.run_seed = 7});
  const std::vector<torch::Tensor> tensors = {NormalTensor({300'000}, stream).to(torch::kFloat32),
                                              NormalTensor({300'000}, stream).to(torch::kFloat32)};
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);
  const torch::Tensor alone = AverageTensors(tensors, {});
  torch::set_num_threads(3);
  const torch::Tensor together = AverageTensors(tensors, {});
  torch::set_num_threads(threads);
  EXPECT_TRUE(SameBits(alone, together));
}

TEST(AverageTensors, OfFloat64IsRightToTheLastBitButOne) {
  const auto tensors = Random(7, torch::kFloat64);
  const torch::Tensor mean = AverageTensors(tensors, {});
  for (int64_t i = 0; i < kLength; ++i) {
    long double sum = 0;  // 64 bits of mantissa
    for (const double value : Column(tensors, i)) sum += value;
    EXPECT_DOUBLE_EQ(mean[i].item<double>(), static_cast<double>(sum / 7));
  }
}

TEST(AverageTensors, WeighsTheNetworks) {
  const auto tensors = Random(3, torch::kFloat32);
  const std::vector<double> weights = {0.5, 0, 2.25};
  const torch::Tensor mean = AverageTensors(tensors, {.weights = weights});
  for (int64_t i = 0; i < kLength; ++i) {
    const auto x = Column(tensors, i);
    EXPECT_EQ(mean[i].item<float>(), static_cast<float>((0.5 * x[0] + 2.25 * x[2]) / 2.75));
  }
}

TEST(AverageTensors, DoesNotReadANetworkOfWeightZero) {
  const std::vector<torch::Tensor> tensors = {torch::full({3}, std::numeric_limits<float>::quiet_NaN()),
                                              torch::ones({3})};
  EXPECT_TRUE(torch::equal(AverageTensors(tensors, {.weights = {0, 5}}), torch::ones({3})));
}

TEST(AverageTensors, EqualWeightsGiveTheUniformMeanToTheBit) {
  const auto tensors = Random(5, torch::kFloat32);
  EXPECT_TRUE(SameBits(AverageTensors(tensors, {.weights = {1, 1, 1, 1, 1}}), AverageTensors(tensors, {})));
}

TEST(AverageTensors, RoundsToNarrowTypesOnce) {
  // The mean is 1 + 2^-8 + 2^-27, just above the middle of the bfloat16 numbers 1 and 1 + 2^-7. Its nearest float32 is
  // that middle, and rounding it again would give the even neighbour 1.
  const double share = 0.5 + 0x1p-20;
  const std::vector<torch::Tensor> pair = {torch::tensor({1.0}).to(torch::kBFloat16),
                                           torch::tensor({1 + 0x1p-7}).to(torch::kBFloat16)};
  EXPECT_EQ(AverageTensors(pair, {.weights = {1 - share, share}}).item<float>(), 1 + 0x1p-7);
  // The same below the middle of 1 + 2^-7 and 1 + 2^-6, whose even neighbour lies above.
  const std::vector<torch::Tensor> next = {torch::tensor({1 + 0x1p-7}).to(torch::kBFloat16),
                                           torch::tensor({1 + 0x1p-6}).to(torch::kBFloat16)};
  EXPECT_EQ(AverageTensors(next, {.weights = {share, 1 - share}}).item<float>(), 1 + 0x1p-7);
}

TEST(AverageTensors, MedianMatchesSorting) {
  for (int64_t networks = 1; networks <= 6; ++networks) {
    const auto tensors = Random(networks, torch::kFloat32);
    const torch::Tensor median = AverageTensors(tensors, {.method = AverageMethod::kMedian});
    for (int64_t i = 0; i < kLength; i += 7) {
      auto x = Column(tensors, i);
      std::sort(x.begin(), x.end());
      const double expected = networks % 2 == 1 ? x[networks / 2] : (x[networks / 2 - 1] + x[networks / 2]) / 2;
      EXPECT_EQ(median[i].item<float>(), static_cast<float>(expected)) << networks << " networks";
    }
  }
}

TEST(AverageTensors, TrimmedMeanDropsTheFloorOfTheShareAtEachEnd) {
  for (int64_t networks = 1; networks <= 6; ++networks) {
    const auto tensors = Random(networks, torch::kFloat32);
    for (const double trim : {0.0, 0.2, 0.25, 0.34, 0.49}) {
      const torch::Tensor mean = AverageTensors(tensors, {.method = AverageMethod::kTrimmedMean, .trim = trim});
      const auto drop = static_cast<int64_t>(trim * static_cast<double>(networks));
      for (int64_t i = 0; i < kLength; i += 101) {
        auto x = Column(tensors, i);
        std::sort(x.begin(), x.end());
        double sum = 0;
        for (int64_t k = drop; k < networks - drop; ++k) sum += x[k];
        EXPECT_EQ(mean[i].item<float>(), static_cast<float>(sum / static_cast<double>(networks - 2 * drop)));
      }
    }
  }
}

TEST(AverageTensors, TrimmedMeanTakesAShareThatMeansAWholeNumberAtItsWord) {
  // 0.29 x 100 is below 29 in double arithmetic.
  std::vector<torch::Tensor> tensors;
  for (int k = 0; k < 100; ++k) tensors.push_back(torch::tensor({k < 29 ? -1e6 : k >= 71 ? 1e6 : 3.0}));
  EXPECT_EQ(AverageTensors(tensors, {.method = AverageMethod::kTrimmedMean, .trim = 0.29}).item<float>(), 3);
}

TEST(AverageTensors, MedianGuardsAgainstADivergedNetwork) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<torch::Tensor> tensors = {torch::tensor({nan}), torch::tensor({1.0}), torch::tensor({2.0})};
  EXPECT_EQ(AverageTensors(tensors, {.method = AverageMethod::kMedian}).item<float>(), 2);
}

TEST(AverageTensors, TakesTheLargestOfWholeNumbersAndBooleans) {
  const int64_t large = (int64_t{1} << 53) + 1;  // not a double
  EXPECT_EQ(AverageTensors(std::vector{torch::tensor(large - 1), torch::tensor(large), torch::tensor(int64_t{-5})}, {})
                .item<int64_t>(),
            large);
  const std::vector<torch::Tensor> flags = {torch::tensor({false, true, false}), torch::tensor({false, false, true})};
  EXPECT_TRUE(
      torch::equal(AverageTensors(flags, {.method = AverageMethod::kMedian}), torch::tensor({false, true, true})));
  const std::vector<torch::Tensor> small = {torch::tensor({-3, 7}).to(torch::kInt8),
                                            torch::tensor({-2, -7}).to(torch::kInt8)};
  EXPECT_TRUE(torch::equal(AverageTensors(small, {}), torch::tensor({-2, 7}).to(torch::kInt8)));
}

TEST(AverageTensors, AcceptsScalarsEmptyTensorsAndStridedOnes) {
  EXPECT_EQ(AverageTensors(std::vector{torch::tensor(1.0), torch::tensor(2.0)}, {}).item<double>(), 1.5);
  EXPECT_EQ(AverageTensors(std::vector{torch::empty({0, 3}), torch::empty({0, 3})}, {}).sizes(),
            torch::IntArrayRef({0, 3}));
  const torch::Tensor matrix = torch::arange(6, torch::kFloat32).view({2, 3});
  EXPECT_TRUE(torch::equal(AverageTensors(std::vector{matrix.t(), matrix.t().contiguous()}, {}), matrix.t()));
}

TEST(AverageTensors, RejectsOptionsThatDoNotFit) {
  const std::vector<torch::Tensor> pair = {torch::zeros({1}), torch::zeros({1})};
  EXPECT_THROW(AverageTensors({}, {}), ConfigError);
  EXPECT_THROW(AverageTensors(pair, {.weights = {1}}), ConfigError);
  EXPECT_THROW(AverageTensors(pair, {.weights = {1, -1}}), ConfigError);
  EXPECT_THROW(AverageTensors(pair, {.weights = {0, 0}}), ConfigError);
  EXPECT_THROW(AverageTensors(pair, {.weights = {1, std::numeric_limits<double>::infinity()}}), ConfigError);
  EXPECT_THROW(AverageTensors(pair, {.method = AverageMethod::kMedian, .weights = {1, 1}}), ConfigError);
  EXPECT_THROW(AverageTensors(pair, {.method = AverageMethod::kTrimmedMean, .trim = 0.5}), ConfigError);
}

std::string ErrorOf(const StateDict& a, const StateDict& b) {
  try {
    AverageStates(std::vector<StateDict>{a, b});
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(AverageStates, FindsTensorsByNameAndKeepsTheOrderOfTheFirst) {
  const StateDict a = {{"w", torch::tensor({1.0})}, {"n", torch::tensor(int64_t{3})}};
  const StateDict b = {{"n", torch::tensor(int64_t{4})}, {"w", torch::tensor({2.0})}};
  const StateDict mean = AverageStates(std::vector<StateDict>{a, b});
  ASSERT_EQ(mean.size(), 2U);
  EXPECT_EQ(mean[0].name, "w");
  EXPECT_EQ(mean[0].tensor.item<float>(), 1.5F);
  EXPECT_EQ(mean[1].tensor.item<int64_t>(), 4);
}

TEST(AverageStates, OfOneNetworkIsACopy) {
  const std::vector<StateDict> one = {{{"w", torch::tensor({1.0})}}};
  const StateDict mean = AverageStates(one);
  mean[0].tensor.fill_(9);
  EXPECT_EQ(one[0][0].tensor.item<float>(), 1);
}

TEST(AverageStates, NamesWhatDoesNotMatch) {
  const StateDict a = {{"w", torch::zeros({2, 3})}, {"b", torch::zeros({2})}};
  EXPECT_THAT(ErrorOf(a, {{"w", torch::zeros({2, 3})}, {"c", torch::zeros({2})}}),
              HasSubstr("network 1 does not match network 0: missing tensors: b; unexpected tensors: c"));
  EXPECT_THAT(ErrorOf(a, {{"w", torch::zeros({3, 2})}, {"b", torch::zeros({2})}}),
              HasSubstr("network 1: tensor w is F32 [3, 2]; in network 0 it is F32 [2, 3]"));
  EXPECT_THAT(ErrorOf(a, {{"w", torch::zeros({2, 3})}, {"b", torch::zeros({2}, torch::kFloat64)}}),
              HasSubstr("tensor b is F64 [2]"));
  EXPECT_THAT(ErrorOf(a, {{"w", torch::zeros({2, 3})}, {"b", torch::zeros({2})}, {"b", torch::zeros({2})}}),
              HasSubstr("tensor b occurs twice"));
}

TEST(ConsensusDistance, OfUnitVectorsIsOneMinusOneOverTheirNumber) {
  for (int64_t networks = 1; networks <= 5; ++networks) {
    std::vector<StateDict> states;
    for (int64_t k = 0; k < networks; ++k) {
      torch::Tensor unit = torch::zeros({5});
      unit[k] = 1;
      // Statistics and counters are not weights: their differences do not count.
      states.push_back({{"w", unit}, {"bn.running_mean", torch::full({2}, double(k))}, {"steps", torch::tensor(k)}});
    }
    // 1/k is rounded, so the sum of k terms may be off by about k units in the last place.
    EXPECT_NEAR(ConsensusDistanceSquared(states), 1 - 1.0 / static_cast<double>(networks), 1e-15);
  }
}

TEST(ConsensusDistance, IsUnchangedWhenTheMembersSwapCoordinates) {
  const auto tensors = Random(4, torch::kFloat32);
  const torch::Tensor stacked = torch::stack(tensors);
  torch::Tensor shuffled = torch::empty_like(stacked);
  for (int64_t i = 0; i < kLength; ++i) {
    const auto order = base::RandomPermutation(4, {.run_seed = 3, .a = static_cast<uint64_t>(i)});
    for (int64_t k = 0; k < 4; ++k) shuffled[k][i] = stacked[order[k]][i];
  }
  std::vector<StateDict> before, after, reversed;
  for (int64_t k = 0; k < 4; ++k) {
    before.push_back({{"w", stacked[k]}});
    after.push_back({{"w", shuffled[k]}});
    reversed.push_back({{"w", stacked[3 - k]}});
  }
  const double distance = ConsensusDistanceSquared(before);
  ASSERT_GT(distance, 1000);
  // Only the order of additions in double differs: 10,000 terms, errors of 1e-16 each.
  EXPECT_NEAR(ConsensusDistanceSquared(after), distance, 1e-12 * distance);
  EXPECT_NEAR(ConsensusDistanceSquared(reversed), distance, 1e-12 * distance);
}

TEST(DistanceSquared, IsThePythagoreanSumOverTensors) {
  const StateDict a = {
      {"w", torch::tensor({1.0, 2.0})}, {"b", torch::tensor({0.0})}, {"bn.running_var", torch::tensor({7.0})}};
  const StateDict b = {
      {"w", torch::tensor({4.0, 2.0})}, {"b", torch::tensor({-4.0})}, {"bn.running_var", torch::tensor({1.0})}};
  EXPECT_DOUBLE_EQ(DistanceSquared(a, b), 25);
  EXPECT_EQ(DistanceSquared(a, a), 0);
}

}  // namespace
}  // namespace basin::merge
