// What a person looks at: the page of a run and of a comparison in a real browser, and a run in TensorBoard.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/finished_run.h"
#include "tests/support/made_run.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kSource = BASIN_SOURCE_DIR;
const std::string kHarm = "<script>window.harmed = true;<img src=x onerror=\"window.harmed = true\">";  // a name of a run holds no slash

/// A program of one of these names; empty when none is installed.
std::string FirstInstalled(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const CommandResult found = test::RunCommand({"sh", "-c", "command -v " + name});
    if (found.exit_code == 0) return name;
  }
  return {};
}

class Report : public test::FinishedRun {
 protected:
  static void SetUpTestSuite() {
    Train({kSource + "/configs/smoke.yaml", "--set", "population.members=3", "--set", "train={steps: 30, batch_size: 32}", "--set",
           "lmc.splits=[test, train]", "--set", "run.name='" + kHarm + "'"});
  }
  /// What look_at_page.py saw. Screenshots stay in `BASIN_SCREENSHOTS`/`name` where that is set.
  static Json Look(const std::string& page, const std::string& name) {
    std::vector<std::string> words{"python3", kSource + "/tests/support/look_at_page.py",
                                   FirstInstalled({"chromium", "chromium-browser", "google-chrome"}), page};
    if (const char* folder = std::getenv("BASIN_SCREENSHOTS")) words.push_back(std::string(folder) + "/" + name);
    const CommandResult result = test::RunCommand(words, {.deadline_s = 280});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  static bool HasBrowser() { return !FirstInstalled({"chromium", "chromium-browser", "google-chrome"}).empty(); }
};

#define NEEDS_BROWSER() \
  if (!HasBrowser()) GTEST_SKIP() << "no Chromium is installed (launch/setup.sh --extras)"

void ExpectDrawn(const Json& canvases, size_t count, const std::string& where) {
  EXPECT_EQ(canvases.size(), count) << where;
  for (const Json& canvas : canvases) {
    EXPECT_GT(canvas["painted"], 200) << where << ": " << canvas;  // axes alone paint more
    EXPECT_GT(canvas["colours"], 8) << where << ": " << canvas;    // a blank one has 1, axes without a curve a few greys
  }
}

void ExpectReadable(const Json& seen, size_t num_charts) {
  EXPECT_THAT(seen["complaints"], IsEmpty()) << seen["complaints"];
  EXPECT_EQ(seen["harmed"], false);
  std::map<std::string, std::string> backgrounds;
  for (const Json& view : seen["views"]) {
    const std::string where = view["width"].dump() + " " + view["scheme"].dump();
    ExpectDrawn(view["canvases"], num_charts, where);
    EXPECT_LE(view["overflow"], 0) << where;
    EXPECT_THAT(view["sticking_out"], IsEmpty()) << where << view["sticking_out"];
    EXPECT_GE(view["smallest_letters"], 12) << where;
    backgrounds[view["scheme"]] = view["background"];
  }
  EXPECT_EQ(backgrounds["light"], "rgb(255, 255, 255)");
  EXPECT_EQ(backgrounds["dark"], "rgb(13, 17, 23)");
  EXPECT_EQ(seen["paper"]["is_pdf"], true);
  ExpectDrawn(seen["after_paper"], num_charts, "after printing");
}

TEST_F(Report, TheRunLeavesItsPageAndItsLastLineNamesIt) {
  const CommandResult result = Basin({"train", kSource + "/configs/smoke.yaml", "--run-dir", Path("named"), "--set", "train.steps=2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string last = "report: " + Path("named") + "/report.html\n";
  EXPECT_EQ(result.out.substr(result.out.size() - std::min(last.size(), result.out.size())), last);
  EXPECT_THAT(base::ReadFile(Path("named/report.html")), HasSubstr("<h1>smoke</h1>"));
}

TEST_F(Report, HtmlFalseLeavesNoPage) {
  const CommandResult result = Basin(
      {"train", kSource + "/configs/smoke.yaml", "--run-dir", Path("without"), "--set", "train.steps=2", "--set", "report.html=false"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(std::filesystem::exists(Path("without/report.html")));
  EXPECT_EQ(result.out.find("report:"), std::string::npos);
}

TEST_F(Report, OutWritesThePageThatTheRunHasWrittenItself) {
  const CommandResult result = Basin({"report", Path("run"), "--out", Path("again.html")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("report: " + Path("again.html")));
  EXPECT_EQ(base::ReadFile(Path("again.html")), base::ReadFile(Path("run/report.html")));
}

TEST_F(Report, ThePageOfARunIsReadableInABrowserAndItsNameDoesNoHarm) {
  NEEDS_BROWSER();
  const Json seen = Look(Path("run/report.html"), "run");
  ExpectReadable(seen, 12);
  EXPECT_EQ(seen["title"], kHarm);
  EXPECT_THAT(seen["text"].get<std::string>(), HasSubstr(kHarm));
  EXPECT_EQ(seen["scripts"], 3);  // the data, Chart.js, ours
}

TEST_F(Report, ThePageOfALongRunIsReadableInABrowser) {
  NEEDS_BROWSER();
  test::MadeRun{.name = "ten thousand steps", .members = 8, .steps = 10000, .evaluate_every = 250}.Write(Path("long"));
  ASSERT_EQ(Basin({"report", Path("long"), "--out", Path("long.html")}).exit_code, 0);
  ExpectReadable(Look(Path("long.html"), "long"), 10);
}

TEST_F(Report, ThePageOfAComparisonIsReadableInABrowser) {
  NEEDS_BROWSER();
  std::vector<std::string> words{"report"};
  for (const auto& [name, strategy, average, steps] : {std::tuple{"independent", "independent", 0.61, 0},
                                                       {"wash p 0.01", "wash", 0.91, 40},
                                                       {"wash p 0.1", "wash", 0.925, 400},
                                                       {"papa", "papa", 0.92, 4000}}) {
    test::MadeRun{.name = name, .strategy = strategy, .steps = steps, .average = average}.Write(Path(std::string(name) + "/1"));
    test::MadeRun{.name = name, .strategy = strategy, .steps = steps, .average = average + 0.01}.Write(Path(std::string(name) + "/2"));
    words.push_back(Path(name));
  }
  words.insert(words.end(), {"--out", Path("comparison.html")});
  ASSERT_EQ(Basin(words).exit_code, 0);
  ExpectReadable(Look(Path("comparison.html"), "comparison"), 2);
}

TEST_F(Report, TensorBoardReadsAFolderAMemberAndOneForTheRun) {
  const char* chosen = std::getenv("BASIN_TENSORBOARD_PYTHON");  // a Python that has the package tensorboard
  const std::string python = chosen != nullptr ? chosen : "python3";
  if (test::RunCommand({python, "-c", "import tensorboard"}).exit_code != 0) {
    GTEST_SKIP() << python << " has no TensorBoard (pip install tensorboard; BASIN_TENSORBOARD_PYTHON names another Python)";
  }
  const CommandResult read = test::RunCommand({python, kSource + "/tests/golden/tensorboard_events.py", "read", Path("run")});
  ASSERT_EQ(read.exit_code, 0) << read.err;
  const Json runs = Json::parse(read.out);
  ASSERT_EQ(runs.size(), 4u) << runs.dump().substr(0, 300);
  const Json result = base::ReadJson(Path("run/result.json"));
  EXPECT_EQ(runs["."]["result/average"][0][0], 30);
  EXPECT_FLOAT_EQ(runs["."]["result/average"][0][2].get<float>(), result["average"]["test_accuracy"].get<float>());
  ASSERT_FALSE(runs["."]["population/consensus_squared"].empty());
  for (int m = 0; m < 3; ++m) {
    const Json& curve = runs["member-" + std::to_string(m)]["step/loss"];
    ASSERT_EQ(curve.size(), 30u);
    for (int step = 0; step < 30; ++step) EXPECT_EQ(curve[step][0], step);
  }
}

}  // namespace
}  // namespace basin
