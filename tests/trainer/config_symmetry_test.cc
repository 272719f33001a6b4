#include "trainer/config/symmetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/tensors.h"

namespace basin::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::RandomTensor;

models::StateDict Network() {
  return {{"fc1.weight", RandomTensor({6, 4}, 1)}, {"fc1.bias", RandomTensor({6}, 2)}, {"fc2.weight", RandomTensor({3, 6}, 3)}, {"fc2.bias", RandomTensor({3}, 4)}};
}

models::PermutationSpec Read(const std::string& text) {
  const base::TemporaryFolder folder;
  base::WriteFileAtomically(folder.path() / "mine.yaml", text);
  return ReadSymmetry(folder.path() / "mine.yaml", Network());
}

std::string RefusalOf(const std::string& text) {
  try {
    Read(text);
  } catch (const ConfigError& failure) {
    return failure.what();
  }
  return "(nothing was thrown)";
}

TEST(ReadSymmetry, ReadsWhatAUserWrote) {
  const auto spec = Read("# a network of mine\nfc1.weight: [hidden, null]\nfc1.bias: [hidden]\nfc2.weight: [~, hidden]\n");
  EXPECT_EQ(spec.axes(), (std::map<std::string, std::vector<std::string>>{
                             {"fc1.weight", {"hidden", ""}}, {"fc1.bias", {"hidden"}}, {"fc2.weight", {"", "hidden"}}}));
  EXPECT_EQ(models::ValidateSpec(spec, Network()), (std::map<std::string, int64_t>{{"hidden", 6}}));
}

TEST(ReadSymmetry, TellsFileLineAndWhatIsWrong) {
  EXPECT_THAT(RefusalOf("fc1.weight: [hidden, null]\nfc1.bais: [hidden]\nfc2.weight: [null, hidden]\n"),
              AllOf(HasSubstr("mine.yaml:2"), HasSubstr("no tensor of this name"), HasSubstr("did you mean fc1.bias?")));
  EXPECT_THAT(RefusalOf("fc1.weight: [hidden]\n"), AllOf(HasSubstr("mine.yaml:1"), HasSubstr("1 entries, the tensor 2 axes")));
  EXPECT_THAT(RefusalOf("fc1.weight: [hidden, null]\nfc2.weight: [hidden, null]\n"), HasSubstr("id hidden has 3 units on axis 0, but 6 on axis 0 of fc1.weight"));
  EXPECT_THAT(RefusalOf("fc1.weight: [hidden, null]\n"), HasSubstr("id hidden has no consumer"));
  EXPECT_THAT(RefusalOf("fc2.weight: [null, hidden]\n"), HasSubstr("id hidden has no producer"));
  EXPECT_THAT(RefusalOf("fc1.weight: hidden\n"), HasSubstr("a list with an id or null for each axis"));
  EXPECT_THAT(RefusalOf("fc1.weight: [hidden, [a]]\n"), HasSubstr("axis 1"));
  EXPECT_THAT(RefusalOf("- fc1.weight\n"), HasSubstr("a map from tensor names"));
  EXPECT_THAT(RefusalOf(""), HasSubstr("a map from tensor names"));
  EXPECT_THAT(RefusalOf("fc1.weight: [hidden, null\n"), HasSubstr("mine.yaml:"));
}

TEST(ReadSymmetry, RefusesAnIdOnTwoAxes) {
  const base::TemporaryFolder folder;
  base::WriteFileAtomically(folder.path() / "mine.yaml", "w: [p, p]\n");
  EXPECT_THROW(ReadSymmetry(folder.path() / "mine.yaml", {{"w", RandomTensor({3, 3}, 1)}}), ConfigError);
}

TEST(ReadSymmetry, RefusesAMissingFile) { EXPECT_THROW(ReadSymmetry("/nowhere/mine.yaml", Network()), ConfigError); }

}  // namespace
}  // namespace basin::trainer
