// The map of the house as a test: which room may include which, and the one door of each vendor
// library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace basin::base {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"proto", {}},
    {"comm", {"base"}},
    {"coordinator", {"proto", "base"}},
    {"models", {"base"}},
    {"data", {"base"}},
    {"report", {"base"}},
    {"merge", {"models", "base"}},
    {"trainer", {"merge", "comm", "coordinator", "models", "data", "report", "proto", "base"}},
    {"launch", {"trainer", "merge", "coordinator", "report", "base"}},
};

struct Door {
  std::string include;  // regular expression for the text between the brackets
  std::string files;    // regular expression for the path from the root
};

const std::vector<Door> kDoors = {
    {R"(mpi\.h)", R"(comm/mpi[^/]*)"},
    {R"(nccl\.h)", R"(comm/nccl[^/]*)"},
    {R"(yaml-cpp/.*)", R"(trainer/config/[^/]*)"},
    {R"(nlohmann/.*)", R"(base/json\.(h|cc))"},
    {R"(spdlog/.*)", R"(base/log\.(h|cc))"},
    {R"(zlib\.h)", R"(data/.*)"},
    {R"(xxhash\.h)", R"(base/files\.(h|cc))"},
    {R"(CLI/.*)", R"(launch/.*)"},
    {R"((grpc|grpcpp|google/protobuf)/.*)", R"(coordinator/.*)"},
    // The floors that a program without LibTorch is built from.
    {R"((torch|ATen|c10)/.*)", R"((comm|models|data|merge|trainer|launch)/.*)"},
};

// What is wrong with `file` (path from the root) including `include`; empty when nothing is.
std::string Breach(const std::string& file, const std::string& include, bool quoted) {
  for (const Door& door : kDoors) {
    if (std::regex_match(include, std::regex(door.include)) &&
        !std::regex_match(file, std::regex(door.files))) {
      return "the only door to " + include + " is " + door.files;
    }
  }
  const std::string room = file.substr(0, file.find('/'));
  const std::string target = include.substr(0, include.find('/'));
  if (!kMayInclude.contains(target))
    return quoted ? "includes are written from the root: \"room/file.h\"" : "";
  if (target == room || kMayInclude.at(room).contains(target)) return "";
  return room + "/ must not know " + target + "/";
}

std::vector<std::string> BreachesOfFile(const fs::path& root, const fs::path& path) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)re");
  const std::string file = path.lexically_relative(root).generic_string();
  std::vector<std::string> breaches;
  std::istringstream lines(ReadFile(path));
  std::string line;
  std::smatch match;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find("include") == std::string::npos || !std::regex_match(line, match, kInclude))
      continue;
    const std::string breach = Breach(file, match[2], match[1] == "\"");
    if (!breach.empty()) breaches.push_back(Text(file, ":", number, ": ", breach));
  }
  return breaches;
}

// All breaches under `root`, in the order of the file names. Rooms that do not exist are passed
// over.
std::vector<std::string> BreachesOfHouse(const fs::path& root, int* files_read = nullptr) {
  std::vector<std::string> breaches;
  for (const auto& [room, allowed] : kMayInclude) {
    if (!fs::is_directory(root / room)) continue;
    std::set<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const fs::path extension = entry.path().extension();
      if (extension == ".h" || extension == ".cc" || extension == ".cu" || extension == ".cuh")
        files.insert(entry.path());
    }
    for (const fs::path& file : files)
      std::ranges::move(BreachesOfFile(root, file), std::back_inserter(breaches));
    if (files_read != nullptr) *files_read += static_cast<int>(files.size());
  }
  return breaches;
}

TEST(House, HasNoArrowAndNoVendorDoorBeyondTheMap) {
  int files_read = 0;
  const std::vector<std::string> breaches = BreachesOfHouse(BASIN_SOURCE_DIR, &files_read);
  for (const std::string& breach : breaches) ADD_FAILURE() << breach;
  EXPECT_GT(files_read, 15) << "the rooms were not found under " << BASIN_SOURCE_DIR;
}

TEST(House, HasNoCircleInItsMap) {
  // Arrows lead only to rooms that are already placed, floor by floor, until all rooms stand.
  std::set<std::string> placed;
  for (size_t before = kMayInclude.size() + 1; placed.size() != before;) {
    before = placed.size();
    for (const auto& [room, allowed] : kMayInclude) {
      if (std::ranges::includes(placed, allowed)) placed.insert(room);
    }
  }
  EXPECT_EQ(placed.size(), kMayInclude.size());
}

class PlantedHouse : public testing::Test {
 protected:
  std::vector<std::string> Breaches(const std::string& file, const std::string& content) const {
    WriteFileAtomically(folder_.path() / file, content);
    return BreachesOfHouse(folder_.path());
  }
  TemporaryFolder folder_;
};

TEST_F(PlantedHouse, AForbiddenArrowIsReportedWithFileAndLine) {
  EXPECT_THAT(Breaches("merge/soup.cc", "#include <vector>\n\n#include \"comm/communicator.h\"\n"),
              ElementsAre("merge/soup.cc:3: merge/ must not know comm/"));
}

TEST_F(PlantedHouse, ArrowsUpwardsAndAngleBracketsAreSeenToo) {
  EXPECT_THAT(Breaches("base/a.h", "  #  include <trainer/config/config.h>  // why not\n"),
              ElementsAre(HasSubstr("base/a.h:1:")));
}

TEST_F(PlantedHouse, AVendorHeaderIsAllowedOnlyAtItsDoor) {
  EXPECT_THAT(Breaches("comm/mpi.cc", "#include <mpi.h>\n"), IsEmpty());
  EXPECT_THAT(Breaches("trainer/config/yaml.cc", "#include <yaml-cpp/yaml.h>\n"), IsEmpty());
  EXPECT_THAT(Breaches("comm/factory.cc", "#include <mpi.h>\n"),
              ElementsAre(HasSubstr("comm/factory.cc:1: the only door")));
}

TEST_F(PlantedHouse, TheGroundFloorKnowsNoTensorLibrary) {
  EXPECT_THAT(Breaches("models/mlp.h", "#include <torch/nn.h>\n"), IsEmpty());
  EXPECT_THAT(Breaches("base/a.h", "#include <torch/types.h>\n"),
              ElementsAre(HasSubstr("base/a.h:1:")));
}

TEST_F(PlantedHouse, AnIncludeThatIsNotWrittenFromTheRootIsReported) {
  EXPECT_THAT(Breaches("trainer/strategies/wash.cc", "#include \"strategy.h\"\n"),
              ElementsAre(HasSubstr("from the root")));
}

TEST_F(PlantedHouse, AllowedArrowsStandardHeadersAndOtherFilesPass) {
  EXPECT_THAT(Breaches("launch/main.cc",
                       "#include <vector>\n#include \"trainer/run.h\"\n#include \"launch/a.h\"\n"),
              IsEmpty());
  EXPECT_THAT(Breaches("base/notes.txt", "#include \"trainer/run.h\"\n"), IsEmpty());
  EXPECT_THAT(Breaches("tests/base/any.cc", "#include \"trainer/run.h\"\n"), IsEmpty());
}

}  // namespace
}  // namespace basin::base
