#include "trainer/checkpoint/files.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/message_of.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointFiles : public ::testing::Test {
 protected:
  /// A complete checkpoint of two members with arbitrary content, without those that were lost before.
  Manifest Write(int64_t step, const std::vector<int>& lost = {}) const {
    const fs::path folder = MakeCheckpointFolder(dir(), step);
    Manifest manifest{.step = step, .members = 2, .config_hash = "0123456789abcdef", .config = "run:\n  seed: 1\n",
                      .layout_hash = "fedcba9876543210", .backend = "mpi", .device = "cpu"};
    for (const int member : lost) manifest.lost.push_back({{"member", member}, {"step", 3}, {"reason", "it was silent"}});
    for (int member = 0; member < 2; ++member) {
      if (!manifest.Holds(member)) continue;
      for (const std::string& name : {RankTensorsName(member), RankFactsName(member)}) {
        base::WriteFileAtomically(folder / name, name + " of step " + std::to_string(step));
        manifest.files.push_back(RecordFile(folder / name));
      }
    }
    WriteManifest(folder, manifest);
    return manifest;
  }
  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const CheckpointEntry& entry : ListCheckpoints(dir())) steps.push_back(entry.complete ? entry.step : -entry.step);
    return steps;
  }
  fs::path Folder(int64_t step) const { return dir() / "checkpoints" / CheckpointName(step); }
  const fs::path& dir() const { return folder_.path(); }
  base::TemporaryFolder folder_;
};

TEST_F(CheckpointFiles, AreNamedAsTheContractSays) {
  EXPECT_EQ(CheckpointName(500), "step-00000500");
  EXPECT_EQ(RankTensorsName(7), "rank-007.safetensors");
  EXPECT_EQ(RankFactsName(12), "rank-012.json");
}

TEST_F(CheckpointFiles, AManifestReadsBackAsItWasWritten) {
  const Manifest written = Write(5);
  const Manifest read = ParseManifest(base::ReadFile(Folder(5) / kManifestName), "here");
  EXPECT_EQ(ToJson(read), ToJson(written));
  EXPECT_EQ(read.files.size(), 4u);
}

TEST_F(CheckpointFiles, AfterALossTheManifestNamesTheLostMemberAndHoldsTheOthers) {
  const Manifest written = Write(5, {0});
  const Manifest read = ParseManifest(base::ReadFile(Folder(5) / kManifestName), "here");
  EXPECT_EQ(ToJson(read), ToJson(written));
  EXPECT_FALSE(read.Holds(0));
  EXPECT_TRUE(read.Holds(1));
  EXPECT_EQ(read.lost[0].at("reason"), "it was silent");
  CheckFiles(Folder(5), read, std::array{0, 1});
  fs::resize_file(Folder(5) / RankFactsName(1), 1);
  EXPECT_THROW(CheckFiles(Folder(5), read, std::array{0, 1}), DataError);
}

TEST_F(CheckpointFiles, TheNewestThatHoldsALostMemberStays) {
  for (int64_t step : {1, 2}) Write(step);
  for (int64_t step : {3, 4, 5}) Write(step, {0});
  PruneCheckpoints(dir(), 5, 2);
  EXPECT_THAT(Steps(), ElementsAre(5, 4, 2));
}

TEST_F(CheckpointFiles, AManifestWithOneChangedDigitIsDamaged) {
  Write(5);
  std::string text = base::ReadFile(Folder(5) / kManifestName);
  text.replace(text.find("0123456789abcdef"), 1, "1");
  EXPECT_THAT(test::MessageOf<DataError>([&] { ParseManifest(text, "here"); }), HasSubstr("here is damaged"));
  EXPECT_THROW(ParseManifest(text.substr(0, 40), "here"), DataError);
  EXPECT_THROW(ParseManifest("", "here"), DataError);
}

TEST_F(CheckpointFiles, OfAnotherFormatAreRefusedWithBothNumbers) {
  base::Json json = ToJson(Write(5));
  json.erase("xxh64");
  json["format"] = 2;
  const std::string content = json.dump();
  json["xxh64"] = base::HexHash(base::Hash64(std::as_bytes(std::span(content))));
  const std::string text = test::MessageOf<ConfigError>([&] { ParseManifest(json.dump(), "here"); });
  EXPECT_THAT(text, HasSubstr("format 2"));
  EXPECT_THAT(text, HasSubstr("reads format 1"));
}

TEST_F(CheckpointFiles, AreCheckedByteForByteAndTheDamagedOneIsNamed) {
  const Manifest manifest = Write(5);
  const std::vector<int> all{0, 1}, first{0};
  EXPECT_NO_THROW(CheckFiles(Folder(5), manifest, all));
  const fs::path file = Folder(5) / RankTensorsName(1);
  std::string content = base::ReadFile(file);
  content[3] ^= 1;
  base::WriteFileAtomically(file, content);
  EXPECT_THAT(test::MessageOf<DataError>([&] { CheckFiles(Folder(5), manifest, all); }), HasSubstr(file.string()));
  EXPECT_NO_THROW(CheckFiles(Folder(5), manifest, first));
  base::WriteFileAtomically(file, content.substr(1));
  EXPECT_THAT(test::MessageOf<DataError>([&] { CheckFiles(Folder(5), manifest, all); }), HasSubstr("bytes"));
  fs::remove(file);
  EXPECT_THAT(test::MessageOf<DataError>([&] { CheckFiles(Folder(5), manifest, all); }), HasSubstr(file.string()));
}

TEST_F(CheckpointFiles, AreListedNewestFirstAndStrangersAreNot) {
  EXPECT_TRUE(ListCheckpoints(dir()).empty());
  for (const int64_t step : {10, 5, 100000000}) Write(step);
  MakeCheckpointFolder(dir(), 7);
  fs::create_directory(dir() / "checkpoints/step-x");
  fs::create_directory(dir() / "checkpoints/old");
  EXPECT_THAT(Steps(), ElementsAre(100000000, 10, -7, 5));
}

TEST_F(CheckpointFiles, KeepTheNewestCompleteOnes) {
  for (const int64_t step : {5, 10, 20, 30}) Write(step);
  MakeCheckpointFolder(dir(), 15);  // incomplete
  PruneCheckpoints(dir(), 20, 2);
  EXPECT_THAT(Steps(), ElementsAre(30, 20, 10));
}

TEST_F(CheckpointFiles, AreNotWrittenIntoARunDirectoryThatIsGone) {
  EXPECT_THROW(MakeCheckpointFolder(dir() / "gone", 5), DataError);
  EXPECT_FALSE(fs::exists(dir() / "gone"));
}

}  // namespace
}  // namespace basin::trainer
