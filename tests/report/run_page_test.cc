#include "report/run_page.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/error.h"
#include "tests/support/made_run.h"

namespace basin::report {
namespace {

using test::MadeRun;

/// A page in a message would hide what is missing in it.
bool Holds(const std::string& html, const std::string& part) { return html.find(part) != std::string::npos; }

class RunPageTest : public testing::Test {
 protected:
  std::filesystem::path dir() const { return folder_.path() / "run"; }
  std::string PageOf(const MadeRun& made) {
    made.Write(dir());
    return RunPage(ReadRun(dir()));
  }
  /// The description of one chart; null when the page has none of this name.
  static base::Json ChartOf(const std::string& html, const std::string& id) {
    const std::string before = "id=\"charts\">";
    const size_t begin = html.find(before) + before.size();
    for (const base::Json& chart : base::Json::parse(html.substr(begin, html.find("</script>", begin) - begin))) {
      if (chart["id"] == id) return chart;
    }
    return nullptr;
  }

 private:
  base::TemporaryFolder folder_;
};

TEST_F(RunPageTest, BeginsWithWhetherTheAverageWorkedAndWhatItCost) {
  const std::string html = PageOf({});
  EXPECT_TRUE(Holds(html, "<h1>made</h1>"));
  EXPECT_TRUE(Holds(html, "The average is as good as the ensemble."));
  EXPECT_TRUE(Holds(html, "each rank sent 40.0&nbsp;kB in 40 exchanges, 25.0&nbsp;% of the time spent in steps"));
  EXPECT_LT(html.find("class=\"verdict"), html.find("<h2>"));
}

TEST_F(RunPageTest, DrawsEveryPartOfAFinishedRun) {
  const std::string html = PageOf({});
  for (const char* id :
       {"scores", "loss", "accuracy", "consensus", "lr", "path-loss-test", "path-accuracy-test", "sent", "bytes", "times"}) {
    EXPECT_TRUE(ChartOf(html, id).is_object()) << id;
  }
  for (const char* part : {"Where the time went", "Barriers between members", "class=\"heat\"", "Events", "libtorch", "Configuration",
                           "greedy soup of [0,1]"}) {
    EXPECT_TRUE(Holds(html, part));
  }
}

TEST_F(RunPageTest, ShowsTheNumbersOfTheRun) {
  const std::string html = PageOf({.members = 2, .steps = 20});
  const base::Json loss = ChartOf(html, "loss");
  ASSERT_EQ(loss["curves"].size(), 3u);  // two members and their mean
  EXPECT_EQ(loss["curves"][0]["x"].size(), 20u);
  const RunRecord run = ReadRun(dir());
  for (int k = 0; k < 20; ++k) {
    const double a = run.members.at(0).steps.loss[k], b = run.members.at(1).steps.loss[k];
    EXPECT_NEAR(loss["curves"][2]["y"][k].get<double>(), (a + b) / 2, 1e-5);  // six digits are shown
    EXPECT_NEAR(loss["curves"][2]["low"][k].get<double>(), std::min(a, b), 1e-5);
  }
  const base::Json sent = ChartOf(html, "sent");
  EXPECT_EQ(sent["curves"][0]["y"].back(), 20000);  // 20 exchanges of 1000 bytes
  EXPECT_EQ(sent["curves"][1]["y"].back(), 20020);  // predicted
  const base::Json consensus = ChartOf(html, "consensus");
  EXPECT_EQ(consensus["curves"][1]["y"][0], 2.5);
}

TEST_F(RunPageTest, SaysWhenItThinsTheCurves) {
  EXPECT_FALSE(Holds(PageOf({.steps = 300}), "Each point is the mean of"));
  EXPECT_TRUE(Holds(PageOf({.steps = 3000}), "Each point is the mean of 10 steps; the band spans the least and the largest"));
}

TEST_F(RunPageTest, OfTenThousandStepsIsSmallAndMadeWithinASecondOfAProcessor) {
  MadeRun{.members = 4, .steps = 10000, .evaluate_every = 100}.Write(dir());
  const std::clock_t start = std::clock();  // the process's own time: a busy machine is not the page's fault
  WriteRunPage(dir(), dir() / "report.html");
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(seconds, 1.0);
#else
  EXPECT_GT(seconds, 0.0);
#endif
  EXPECT_LT(std::filesystem::file_size(dir() / "report.html"), 3'000'000u);
  EXPECT_EQ(ChartOf(base::ReadFile(dir() / "report.html"), "loss")["curves"][0]["x"].size(), 295u);  // 34 steps a point
}

TEST_F(RunPageTest, ManyMembersAreABandAndTheirMean) {
  const base::Json loss = ChartOf(PageOf({.members = 17, .steps = 20}), "loss");
  ASSERT_EQ(loss["curves"].size(), 1u);
  EXPECT_EQ(loss["curves"][0]["low"].size(), 20u);
}

TEST_F(RunPageTest, ARunThatIsNotFinishedHasItsCurves) {
  const std::string html = PageOf({.finished = false});
  EXPECT_TRUE(Holds(html, "This run is not finished."));
  EXPECT_TRUE(ChartOf(html, "loss").is_object());
  EXPECT_TRUE(ChartOf(html, "scores").is_null());
}

TEST_F(RunPageTest, ASingleMemberWithoutExchangesHasAPageToo) {
  MadeRun{.members = 1}.Write(dir());
  base::WriteJson(dir() / "result.json", {{"members", 1}});
  base::WriteFileAtomically(dir() / "metrics.jsonl", "");
  base::WriteFileAtomically(dir() / "lmc.csv", "a,b,lambda,split,loss,accuracy,renorm\n");
  const std::string html = RunPage(ReadRun(dir()));
  EXPECT_TRUE(Holds(html, "This run has no average to judge."));
}

TEST_F(RunPageTest, ALostMemberIsAnEventAndAMarkInTheCurves) {
  MadeRun{}.Write(dir());
  const base::Json event{{"kind", "event"},   {"time", 1.7e9 + 61},
                         {"step", 30},        {"epoch", 0},
                         {"member", 0},       {"event", "lost"},
                         {"members", {0, 1}}, {"lost", {{{"member", 2}, {"step", 29}, {"reason", "rank 2 sent no sign of life"}}}}};
  base::WriteFileAtomically(dir() / "metrics.jsonl", base::ReadFile(dir() / "metrics.jsonl") + event.dump() + "\n");
  base::Json result = base::ReadJson(dir() / "result.json");
  result["bytes"]["predicted_per_rank"] = nullptr;
  base::WriteJson(dir() / "result.json", result);
  const std::string html = RunPage(ReadRun(dir()));
  EXPECT_TRUE(Holds(html, "member 2 lost: rank 2 sent no sign of life; 2 members go on"));
  EXPECT_TRUE(Holds(html, ">1:01<"));
  EXPECT_EQ(ChartOf(html, "loss")["marks"].back()["x"], 30);
  EXPECT_TRUE(Holds(html, "what was predicted for all of them no longer holds"));
}

TEST_F(RunPageTest, ANameThatIsAScriptStaysAName) {
  const std::string name = "</script><script>window.harmed = true</script>";
  const std::string html = PageOf({.name = name, .strategy = name});
  EXPECT_FALSE(Holds(html, "<script>window.harmed"));
  EXPECT_TRUE(Holds(html, "&lt;/script&gt;"));
  EXPECT_EQ(ChartOf(html, "loss")["marks"][0]["text"], "note");
}

}  // namespace
}  // namespace basin::report
