#include "coordinator/averaging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/average_files.h"
#include "base/error.h"
#include "base/safetensors.h"
#include "coordinator/service.h"
#include "tests/coordinator/eventually.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using State = AverageProgress::State;
using Method = AverageJob::Method;

class AveragingOfMembers : public testing::Test {
 protected:
  AveragingOfMembers() { std::filesystem::create_directories(folder_.path() / "members"); }
  void Save(int member, const std::vector<float>& values) const {
    base::WriteSafetensors(
        folder_.path() / MemberWeightsName(member),
        {{"w", base::DType::kF32, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))}});
  }
  AverageProgress Ask(const AverageJob& job) {
    return averaging_.Ask(job, [this](int member) { return member != gone_; });
  }
  AverageProgress End(const AverageJob& job) {
    AverageProgress progress;
    EXPECT_TRUE(Eventually([&] { return (progress = Ask(job)).state != State::kRunning; }));
    return progress;
  }
  std::vector<float> Values(const std::string& name) const {
    const base::SafetensorsReader file(folder_.path() / name);
    std::vector<float> values(static_cast<size_t>(file.Require("w").num_elements()));
    std::memcpy(values.data(), file.Require("w").bytes.data(), 4 * values.size());
    return values;
  }

  int gone_ = -1;
  base::TemporaryFolder folder_;
  WeightsStore store_{folder_.path()};
  Averaging averaging_{store_, [](const std::string&) {}};
};

TEST_F(AveragingOfMembers, EachMethodGivesItsOwnAverage) {
  Save(0, {1, 8});
  Save(1, {2, 4});
  Save(2, {9, 0});
  const std::vector<int> all = {0, 1, 2};
  EXPECT_EQ(End({.members = all, .name = "uniform.safetensors"}).state, State::kDone);
  EXPECT_EQ(End({.members = all, .method = Method::kMedian, .name = "median.safetensors"}).state, State::kDone);
  EXPECT_EQ(End({.members = all, .method = Method::kTrimmed, .trim = 0.4, .name = "trimmed.safetensors"}).state,
            State::kDone);
  EXPECT_EQ(
      End({.members = all, .method = Method::kWeighted, .weights = {3, 0, 1}, .name = "weighted.safetensors"}).state,
      State::kDone);
  EXPECT_THAT(Values("uniform.safetensors"), ElementsAre(4, 4));
  EXPECT_THAT(Values("median.safetensors"), ElementsAre(2, 4));
  EXPECT_THAT(Values("trimmed.safetensors"), ElementsAre(2, 4));
  EXPECT_THAT(Values("weighted.safetensors"), ElementsAre(3, 6));
}

TEST_F(AveragingOfMembers, IsByteForByteTheAverageOfTheFiles) {
  std::vector<float> a(70000), b(70000);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i));
    b[i] = std::cos(static_cast<float>(i)) / 3;
  }
  Save(0, a);
  Save(1, b);
  ASSERT_EQ(End({.members = {1, 0}, .name = "mean.safetensors"}).state, State::kDone);
  const std::vector<std::filesystem::path> inputs = {folder_.path() / MemberWeightsName(1),
                                                     folder_.path() / MemberWeightsName(0)};
  base::AverageSafetensors(inputs, folder_.path() / "other", {}, {});
  const base::FileDigest digest = PieceHashes::Of(base::MappedFile(folder_.path() / "other").bytes()).digest();
  EXPECT_EQ(base::ReadFile(folder_.path() / "mean.safetensors"), base::ReadFile(folder_.path() / "other"));
  EXPECT_EQ(store_.Find("mean.safetensors")->digest, digest);
}

TEST_F(AveragingOfMembers, WaitsForFilesThatAreNotThereYet) {
  Save(0, {1});
  const AverageJob job{.members = {0, 3}, .name = "a.safetensors"};
  EXPECT_THAT(Ask(job).reason, HasSubstr("waiting for the weights of member 3"));
  EXPECT_EQ(Ask(job).state, State::kRunning);
  Save(3, {2});
  EXPECT_EQ(End(job).state, State::kDone);
  EXPECT_THAT(Values("a.safetensors"), ElementsAre(1.5F));
}

TEST_F(AveragingOfMembers, AMemberThatCanNoLongerSendEndsItAndOthersMayHaveTheName) {
  Save(0, {1});
  const AverageJob job{.members = {0, 3}, .name = "a.safetensors"};
  Ask(job);
  gone_ = 3;
  EXPECT_EQ(Ask(job).state, State::kFailed);
  EXPECT_THAT(Ask(job).reason, HasSubstr("member 3 left or was lost"));
  EXPECT_EQ(End({.members = {0}, .name = "a.safetensors"}).state, State::kDone);
}

TEST_F(AveragingOfMembers, AValueThatIsNotFiniteFailsItAndNothingAppears) {
  Save(0, {1, 2});
  Save(1, {1, INFINITY});
  const AverageProgress end = End({.members = {0, 1}, .name = "a.safetensors"});
  EXPECT_EQ(end.state, State::kFailed);
  EXPECT_THAT(end.reason, AllOf(HasSubstr("001.safetensors: tensor w"), HasSubstr("not finite (element 1)")));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "a.safetensors"));
}

TEST_F(AveragingOfMembers, NetworksThatDoNotMatchFailIt) {
  Save(0, {1, 2});
  Save(1, {1, 2, 3});
  EXPECT_THAT(End({.members = {0, 1}, .name = "a.safetensors"}).reason, HasSubstr("tensor w is F32 [3]"));
}

TEST_F(AveragingOfMembers, TheFirstJobOfANameStays) {
  Save(0, {1});
  Save(1, {2});
  const AverageJob job{.members = {0, 1}, .name = "a.safetensors"};
  EXPECT_EQ(End(job).state, State::kDone);
  EXPECT_EQ(Ask(job).state, State::kDone);
  EXPECT_THAT(test::MessageOf<Refused>([&] { Ask({.members = {0}, .name = "a.safetensors"}); }),
              HasSubstr("asked for already"));
}

TEST_F(AveragingOfMembers, JobsThatMakeNoSenseAreRefused) {
  const auto refusal = [this](const AverageJob& job) { return test::MessageOf<Refused>([&] { Ask(job); }); };
  EXPECT_THAT(refusal({.members = {0}, .name = "members/000.safetensors"}), HasSubstr("no name for an average"));
  EXPECT_THAT(refusal({.members = {}, .name = "a.safetensors"}), HasSubstr("no network"));
  EXPECT_THAT(refusal({.members = {0, 0}, .name = "a.safetensors"}), HasSubstr("named twice"));
  EXPECT_THAT(refusal({.members = {-1}, .name = "a.safetensors"}), HasSubstr("a member is -1"));
  EXPECT_THAT(refusal({.members = {0}, .weights = {1}, .name = "a.safetensors"}), HasSubstr("not weighted"));
  EXPECT_THAT(refusal({.members = {0}, .method = Method::kWeighted, .name = "a.safetensors"}), HasSubstr("no weights"));
  EXPECT_THAT(refusal({.members = {0}, .method = Method::kWeighted, .weights = {NAN}, .name = "a.safetensors"}),
              HasSubstr("a weight is nan"));
  EXPECT_THAT(refusal({.members = {0}, .method = Method::kTrimmed, .trim = 0.5, .name = "a.safetensors"}),
              HasSubstr("trim is 0.5"));
  for (size_t k = 0; k < kMaxAverages; ++k) Ask({.members = {0}, .name = Text("a", k, ".safetensors")});
  EXPECT_THAT(refusal({.members = {0}, .name = "b.safetensors"}), HasSubstr("16 averages already"));
}

}  // namespace
}  // namespace basin::coordinator
