#include "report/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace basin::report {
namespace {

using Kind = Verdict::Kind;
using testing::HasSubstr;

/// Test accuracies; 10,000 test images, so that two standard errors at 0.90 are 0.006.
Verdict Of(double mean, double ensemble, double average, int64_t images = 10000) {
  return VerdictOf({{"members", 4},
                    {"data", {{"test", images}}},
                    {"mean_member", {{"test_accuracy", mean}}},
                    {"ensemble", {{"test_accuracy", ensemble}}},
                    {"average", {{"test_accuracy", average}}}});
}

TEST(Verdict, ComparesTheAverageWithTheEnsembleAndThenWithTheMeanMember) {
  EXPECT_EQ(Of(0.85, 0.90, 0.91).sentence, "The average is better than the ensemble, by 1.00 points.");
  EXPECT_EQ(Of(0.85, 0.90, 0.895).sentence, "The average is as good as the ensemble.");
  EXPECT_EQ(Of(0.85, 0.92, 0.90).sentence, "The average is better than its members, and 2.00 points below their ensemble.");
  EXPECT_EQ(Of(0.895, 0.95, 0.90).kind, Kind::kEven);
  EXPECT_EQ(Of(0.92, 0.95, 0.60).sentence, "The average does not work: 32.0 points below the mean member.");
  EXPECT_EQ(Of(0.92, 0.95, 0.60).kind, Kind::kBad);
}

TEST(Verdict, FewerTestImagesLeaveMoreRoomForChance) {
  EXPECT_EQ(Of(0.85, 0.93, 0.90, 100).sentence, "The average is as good as the ensemble.");
  EXPECT_EQ(Of(0.85, 0.901, 0.90, 0).kind, Kind::kGood) << "no number of images: every difference counts";
  EXPECT_THAT(Of(0.85, 0.901, 0.90, 0).sentence, HasSubstr("below their ensemble"));
}

TEST(Verdict, WithoutAFigureThereIsNone) {
  EXPECT_EQ(VerdictOf(nullptr).kind, Kind::kNone);
  EXPECT_EQ(VerdictOf({{"average", {{"test_accuracy", nullptr}}}}).kind, Kind::kNone);
}

}  // namespace
}  // namespace basin::report
