#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "merge/average.h"
#include "tests/support/random_tensor.h"

namespace basin::merge {
namespace {

using models::StateDict;
using test::NormalTensor;
using ::testing::AllOf;
using ::testing::HasSubstr;

class AverageFilesTest : public ::testing::Test {
 protected:
  std::filesystem::path Path(const std::string& name) const { return folder_.path() / name; }
  std::filesystem::path Save(const std::string& name, const StateDict& state) const {
    models::SaveState(Path(name), state);
    return Path(name);
  }
  /// A file as other programs may write it: data packed in the order given, aligned to nothing.
  std::filesystem::path SaveRaw(const std::string& name, std::string header, const std::string& data) const {
    while ((header.size() + 8) % 8 != 0) header += ' ';
    const auto length = static_cast<uint64_t>(header.size());
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    base::WriteFileAtomically(Path(name), bytes + header + data);
    return Path(name);
  }
  std::string ErrorOf(const std::vector<std::filesystem::path>& inputs, const AverageOptions& options = {}) const {
    try {
      AverageFiles(inputs, Path("out"), options, {});
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  }

  base::TemporaryFolder folder_;
};

StateDict RandomState(uint64_t seed) {
  base::Stream stream({.run_seed = seed});
  return {{"conv.weight", NormalTensor({8, 3, 3, 3}, stream).to(torch::kFloat32)},
          {"bn.running_var", NormalTensor({5}, stream).abs().to(torch::kFloat32)},
          {"bn.num_batches_tracked", torch::tensor(static_cast<int64_t>(100 + seed))},
          {"half", NormalTensor({1500}, stream).to(torch::kFloat16)},
          {"brain", NormalTensor({3}, stream).to(torch::kBFloat16)},
          {"double", NormalTensor({2, 2}, stream)},
          {"flags", torch::tensor({seed % 2 == 0, true, false})},
          {"empty", torch::empty({0, 4})}};
}

TEST_F(AverageFilesTest, GivesTheBytesOfAverageStates) {
  std::vector<StateDict> states;
  std::vector<std::filesystem::path> paths;
  for (uint64_t k = 0; k < 4; ++k) {
    states.push_back(RandomState(k));
    paths.push_back(Save("in" + std::to_string(k), states.back()));
  }
  const std::vector<AverageOptions> all = {{},
                                           {.weights = {1, 2, 3, 0.1}},
                                           {.method = AverageMethod::kMedian},
                                           {.method = AverageMethod::kTrimmedMean, .trim = 0.25}};
  for (const AverageOptions& options : all) {
    AverageFiles(paths, Path("streamed"), options, {});
    Save("in-memory", AverageStates(states, options));
    EXPECT_EQ(base::ReadFile(Path("streamed")), base::ReadFile(Path("in-memory")));
  }
}

TEST_F(AverageFilesTest, AddsMetadata) {
  AverageFiles(std::vector{Save("a", RandomState(1))}, Path("out"), {}, {{"method", "uniform"}});
  const base::SafetensorsReader reader(Path("out"));
  EXPECT_EQ(reader.metadata().at("method"), "uniform");
  EXPECT_EQ(reader.metadata().at("format"), "pt");
}

TEST_F(AverageFilesTest, MayReplaceOneOfItsInputs) {
  const auto a = Save("a", {{"w", torch::tensor({1.0})}}), b = Save("b", {{"w", torch::tensor({4.0})}});
  AverageFiles(std::vector{a, b}, a, {}, {});
  EXPECT_EQ(models::ReadState(a)[0].tensor.item<float>(), 2.5F);
}

TEST_F(AverageFilesTest, ReadsDataThatIsNotAligned) {
  const std::string header =
      R"({"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  const std::array<float, 2> first = {1, 2}, second = {2, -8};
  std::vector<std::filesystem::path> paths;
  for (const auto& values : {first, second}) {
    std::string data(9, '\5');
    std::memcpy(data.data() + 1, values.data(), 8);
    paths.push_back(SaveRaw("raw" + std::to_string(paths.size()), header, data));
  }
  AverageFiles(paths, Path("out"), {}, {});
  const StateDict mean = models::ReadState(Path("out"));
  EXPECT_TRUE(torch::equal(*models::FindTensor(mean, "w"), torch::tensor({1.5F, -3.0F})));
  EXPECT_EQ(models::FindTensor(mean, "u")->item<int>(), 5);
}

TEST_F(AverageFilesTest, CopiesOtherTypesWhenTheyAgreeAndRefusesThemWhenTheyDiffer) {
  const std::string header = R"({"q":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}})";
  const auto a = SaveRaw("a", header, "xy"), b = SaveRaw("b", header, "xy"), c = SaveRaw("c", header, "xz");
  AverageFiles(std::vector{a, b}, Path("out"), {}, {});
  const base::SafetensorsReader reader(Path("out"));
  EXPECT_EQ(std::memcmp(reader.Require("q").bytes.data(), "xy", 2), 0);
  EXPECT_THAT(ErrorOf({a, c}), AllOf(HasSubstr("tensor q"), HasSubstr("F8_E4M3")));
}

TEST_F(AverageFilesTest, NamesFileAndTensorThatDoNotMatch) {
  const auto a = Save("a", {{"fc.weight", torch::zeros({10, 4})}}),
             b = Save("b", {{"fc.weight", torch::zeros({5, 4})}});
  EXPECT_THAT(ErrorOf({a, b}), AllOf(HasSubstr(b.string() + ": tensor fc.weight is F32 [5, 4]"),
                                     HasSubstr(a.string() + " it is F32 [10, 4]")));
  const auto c = Save("c", {{"head.weight", torch::zeros({10, 4})}});
  EXPECT_THAT(ErrorOf({a, c}),
              AllOf(HasSubstr(c.string() + " does not match " + a.string()), HasSubstr("missing tensors: fc.weight")));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(AverageFilesTest, RefusesANetworkThatIsNotFiniteWhateverTheMethodAndNamesTheFile) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto good = Save("good", {{"w", torch::tensor({1.0F, 2.0F})}}),
             bad = Save("bad", {{"w", torch::tensor({1.0F, nan})}});
  const std::vector<AverageOptions> all = {
      {}, {.weights = {1, 0, 1}}, {.method = AverageMethod::kMedian}, {.method = AverageMethod::kTrimmedMean, .trim = 0.4}};
  for (const AverageOptions& options : all) {
    EXPECT_THAT(ErrorOf({good, bad, good}, options),
                AllOf(HasSubstr(bad.string()), HasSubstr("tensor w"), HasSubstr("element 1")));
    EXPECT_FALSE(std::filesystem::exists(Path("out")));
  }
}

TEST_F(AverageFilesTest, RefusesAnAverageBeyondTheRangeOfItsType) {
  const auto large = Save("large", {{"w", torch::tensor({1e308}, torch::kFloat64)}});
  EXPECT_THAT(ErrorOf({large, large}), AllOf(HasSubstr("tensor w"), HasSubstr("overflows F64")));
}

TEST_F(AverageFilesTest, RefusesAnEmptyListAndAMissingFile) {
  EXPECT_THROW(AverageFiles({}, Path("out"), {}, {}), ConfigError);
  EXPECT_THAT(ErrorOf({Path("nowhere")}), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace basin::merge
