#include "base/average_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/safetensors.h"
#include "tests/support/message_of.h"

namespace basin::base {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class AverageOfFiles : public testing::Test {
 protected:
  std::filesystem::path Saved(const std::string& name, const std::vector<float>& values,
                              const std::string& tensor = "w") const {
    const auto path = folder_.path() / name;
    WriteSafetensors(path,
                     {{tensor, DType::kF32, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))}});
    return path;
  }
  std::filesystem::path Out() const { return folder_.path() / "out"; }

  TemporaryFolder folder_;
};

TEST_F(AverageOfFiles, IsWrittenWithItsMetadataAndItsDigestReturned) {
  const std::vector inputs = {Saved("a", {1, 2, 3}), Saved("b", {3, 4, 8})};
  const FileDigest digest = AverageSafetensors(inputs, Out(), {}, {{"method", "uniform"}});
  const std::string bytes = ReadFile(Out());
  EXPECT_EQ(digest, (FileDigest{static_cast<int64_t>(bytes.size()), Hash64(std::as_bytes(std::span(bytes)))}));
  const SafetensorsReader file(Out());
  EXPECT_EQ(file.metadata().at("method"), "uniform");
  std::vector<float> values(3);
  std::memcpy(values.data(), file.Require("w").bytes.data(), 12);
  EXPECT_THAT(values, testing::ElementsAre(2, 3, 5.5F));
}

TEST_F(AverageOfFiles, RefusesFilesThatDoNotMatchAndValuesThatAreNotFinite) {
  const auto a = Saved("a", {1, 2}), other = Saved("other", {1, 2}, "v"), bad = Saved("bad", {1, std::nanf("")});
  EXPECT_THAT(test::MessageOf<DataError>([&] {
                AverageSafetensors(std::vector{a, other}, Out(), {}, {});
              }),
              AllOf(HasSubstr("other does not match"), HasSubstr("missing tensors: w")));
  EXPECT_THAT(test::MessageOf<DataError>([&] {
                AverageSafetensors(std::vector{a, bad}, Out(), {}, {});
              }),
              AllOf(HasSubstr("bad: tensor w"), HasSubstr("not finite (element 1)")));
  EXPECT_FALSE(std::filesystem::exists(Out()));
}

TEST_F(AverageOfFiles, IsGivenUpWithoutAFileWhenTheLoopSaysSo) {
  const std::vector inputs = {Saved("a", {1, 2}), Saved("b", {1, 2})};
  const auto stop = [](int64_t, int64_t, int64_t, const BlockWork&) { throw Interrupted("stopped"); };
  EXPECT_THROW(AverageSafetensors(inputs, Out(), {}, {}, stop), Interrupted);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 2);
}

}  // namespace
}  // namespace basin::base
