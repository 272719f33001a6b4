// The arithmetic without a tensor library. What it gives for tensors of each type is tested in tests/merge.
#include "base/average.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <thread>

#include "base/error.h"
#include "base/half.h"

namespace basin::base {
namespace {

using testing::ElementsAre;

template <typename T>
Columns Of(DType dtype, const std::vector<std::vector<T>>& rows) {
  Columns columns{"w", dtype, static_cast<int64_t>(rows[0].size()), {}};
  for (const std::vector<T>& row : rows) columns.data.push_back(reinterpret_cast<const std::byte*>(row.data()));
  return columns;
}

template <typename T>
std::vector<T> Averaged(DType dtype, const std::vector<std::vector<T>>& rows, const AverageOptions& options,
                        const ForBlocks& for_blocks = InOneThread) {
  std::vector<T> out(rows[0].size());
  AverageColumns(Of(dtype, rows), options, reinterpret_cast<std::byte*>(out.data()), for_blocks);
  return out;
}

std::vector<std::vector<float>> Rows(size_t networks, size_t length) {
  std::vector<std::vector<float>> rows(networks, std::vector<float>(length));
  uint32_t state = 1;
  for (auto& row : rows) {
    for (float& x : row) x = static_cast<float>(state = state * 1664525U + 1013904223U) / 1e9F - 2;
  }
  return rows;
}

/// Four parts at once, each on a thread of its own.
void InFourThreads(int64_t begin, int64_t end, int64_t /*grain*/, const BlockWork& work) {
  std::vector<std::thread> threads;
  for (int64_t k = 0; k < 4; ++k) {
    threads.emplace_back([&, k] { work(begin + (end - begin) * k / 4, begin + (end - begin) * (k + 1) / 4); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Average, IsTheSameHoweverTheWorkIsDivided) {
  const auto rows = Rows(5, 10007);
  for (const AverageMethod method : {AverageMethod::kUniform, AverageMethod::kMedian, AverageMethod::kTrimmedMean}) {
    const AverageOptions options{.method = method};
    EXPECT_EQ(Averaged(DType::kF32, rows, options), Averaged(DType::kF32, rows, options, InFourThreads));
  }
  const Columns columns = Of(DType::kF32, rows);
  EXPECT_EQ(SquaredDeviation(columns), SquaredDeviation(columns, InFourThreads));
}

TEST(Average, OfHalvesIsRoundedOnceAndToEven) {
  // 1 + 2^-11 lies half-way between two halves; 1 + 3 x 2^-11 too.
  const std::vector<std::vector<uint16_t>> rows = {{ToHalf(1.0).bits, ToHalf(1 + 0x1p-10).bits},
                                                   {ToHalf(1 + 0x1p-10).bits, ToHalf(1 + 0x1p-9).bits}};
  EXPECT_THAT(Averaged(DType::kF16, rows, {}), ElementsAre(ToHalf(1.0).bits, ToHalf(1 + 0x1p-9).bits));
}

TEST(Average, WeightsCountAndAWeightOfZeroIsNotRead) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Averaged<float>(DType::kF32, {{1, 2}, {nan, nan}, {5, 6}}, {.weights = {3, 0, 1}}), ElementsAre(2, 3));
}

TEST(Average, AMedianDropsADivergedNetwork) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const AverageOptions median{.method = AverageMethod::kMedian};
  EXPECT_THAT(Averaged<float>(DType::kF32, {{1, 3}, {nan, 1}, {2, 2}}, median), ElementsAre(2, 2));
}

TEST(Average, CountersTakeTheLargest) {
  EXPECT_THAT(Averaged<int64_t>(DType::kI64, {{3, -1}, {7, -5}}, {}), ElementsAre(7, -1));
}

TEST(Average, FindsTheFirstValueThatIsNotFinite) {
  const std::vector<float> row = {1, 2, -std::numeric_limits<float>::infinity(), std::nanf("")};
  const auto* data = reinterpret_cast<const std::byte*>(row.data());
  EXPECT_EQ(FirstNonFinite(DType::kF32, data, 4), 2);
  EXPECT_EQ(FirstNonFinite(DType::kF32, data, 2), -1);
  EXPECT_EQ(FirstNonFinite(DType::kI32, data, 4), -1);
  const uint16_t infinite = 0x7F80;
  EXPECT_EQ(FirstNonFinite(DType::kBF16, reinterpret_cast<const std::byte*>(&infinite), 1), 0);
}

TEST(Average, OptionsThatDoNotSuitAreRefused) {
  EXPECT_THROW(CheckAverageOptions({}, 0), ConfigError);
  EXPECT_THROW(CheckAverageOptions({.weights = {1}}, 2), ConfigError);
  EXPECT_THROW(CheckAverageOptions({.weights = {0, 0}}, 2), ConfigError);
  EXPECT_THROW(CheckAverageOptions({.method = AverageMethod::kMedian, .weights = {1, 1}}, 2), ConfigError);
  EXPECT_THROW(CheckAverageOptions({.method = AverageMethod::kTrimmedMean, .trim = 0.5}, 2), ConfigError);
  EXPECT_NO_THROW(CheckAverageOptions({.weights = {0, 2}}, 2));
}

}  // namespace
}  // namespace basin::base
