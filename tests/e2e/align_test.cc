// match, and --align of merge and lmc, as a user calls them, alone and under mpirun.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/finished_run.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using test::Program;

const std::string kConfig = std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml";

/// Three networks that were trained apart, for all tests of this file.
class Align : public test::FinishedRun {
 protected:
  static void SetUpTestSuite() {
    Train({kConfig, "--set", "population={members: 3, init: different}", "--set", "strategy={name: independent}", "--set", "lmc.pairs=none"});
  }
  static CommandResult Basin(const std::vector<std::string>& words) { return test::RunCommand(Words(words), {.environment = {"OMP_NUM_THREADS=1"}}); }
  static CommandResult UnderMpi(const std::vector<std::string>& words) {
    return test::RunUnderMpi(3, Words(words), {.environment = {"OMP_NUM_THREADS=1"}});
  }
  static void ExpectSameFile(const std::string& a, const std::string& b) { EXPECT_EQ(base::ReadFile(Path(a)), base::ReadFile(Path(b))) << a << ", " << b; }
};

TEST_F(Align, MatchWritesANetworkOfTheSameFunctionNearerToA) {
  const CommandResult matched = Basin({"match", kConfig, Member(0), Member(1), "--out", Path("fitted.safetensors"), "--json"});
  ASSERT_EQ(matched.exit_code, 0) << matched.err;
  const Json report = Json::parse(matched.out);
  EXPECT_EQ(report, base::ReadJson(Path("fitted.safetensors.json")));
  EXPECT_GT(report["objective"]["after"], report["objective"]["before"]);
  EXPECT_LT(report["distance"]["l2_after"], report["distance"]["l2_before"]);
  EXPECT_GE(report["sweeps"], 1);
  EXPECT_EQ(report["permutations"].size(), 4u);  // the convnet's ids
  const Json scores = Json::parse(Basin({"eval", kConfig, Member(1), Path("fitted.safetensors"), "--json"}).out);
  EXPECT_NEAR(scores["models"][0]["test"]["loss"], scores["models"][1]["test"]["loss"], 1e-5);  // sums over units in another order
}

TEST_F(Align, MatchDoesNotDependOnTheNumberOfRanks) {
  ASSERT_EQ(Basin({"match", kConfig, Member(0), Member(1), "--starts", "4", "--seed", "7", "--out", Path("alone.safetensors")}).exit_code, 0);
  const CommandResult shared = UnderMpi({"match", kConfig, Member(0), Member(1), "--starts", "4", "--seed", "7", "--out", Path("shared.safetensors")});
  ASSERT_EQ(shared.exit_code, 0) << shared.err;
  ExpectSameFile("alone.safetensors", "shared.safetensors");
  ExpectSameFile("alone.safetensors.json", "shared.safetensors.json");
  EXPECT_EQ(shared.out.find("objective"), shared.out.rfind("objective")) << "one rank prints: " << shared.out;
}

TEST_F(Align, ColouredMatchingFitsAndSaysSo) {
  const CommandResult matched = Basin({"match", kConfig, Member(0), Member(1), "--coloured", "--out", Path("coloured.safetensors"), "--json"});
  ASSERT_EQ(matched.exit_code, 0) << matched.err;
  const Json report = Json::parse(matched.out);
  EXPECT_EQ(report["coloured"], true);
  EXPECT_GT(report["objective"]["after"], report["objective"]["before"]);
}

TEST_F(Align, SinkhornByDistanceEndsNoFartherThanWhereWeightMatchingBegan) {
  const CommandResult matched = Basin({"match", kConfig, Member(0), Member(1), "--align", "sinkhorn", "--loss", "distance", "--samples", "64", "--out",
                                       Path("distance.safetensors"), "--json"});
  ASSERT_EQ(matched.exit_code, 0) << matched.err;
  const Json report = Json::parse(matched.out);
  EXPECT_EQ(report["loss_of"], "distance");
  EXPECT_LE(report["loss"]["best"], report["loss"]["first"]);
  EXPECT_LT(report["distance"]["l2_after"], report["distance"]["l2_before"]);
}

TEST_F(Align, MergeAlignsByEachMethodAloneAndShared) {
  for (const std::string method : {"weight", "many", "universe"}) {
    const std::string alone = method + ".safetensors", shared = method + "_shared.safetensors";
    const CommandResult merged = Basin({"merge", kConfig, Member(0), Member(1), Member(2), "--align", method, "--out", Path(alone)});
    ASSERT_EQ(merged.exit_code, 0) << method << ": " << merged.err;
    ASSERT_EQ(UnderMpi({"merge", kConfig, Member(0), Member(1), Member(2), "--align", method, "--out", Path(shared)}).exit_code, 0);
    ExpectSameFile(alone, shared);
    ASSERT_EQ(Basin({"merge", Member(0), Member(1), Member(2), "--out", Path("plain.safetensors")}).exit_code, 0);
    const Json aligned = base::ReadJson(Path(alone + ".json")), plain = base::ReadJson(Path("plain.safetensors.json"));
    EXPECT_EQ(aligned["align"], method);
    EXPECT_EQ(aligned["aligned"].size(), 3u);
    double spread = 0, plain_spread = 0;
    for (int k = 0; k < 3; ++k) {
      spread += aligned["distance_squared"][k].get<double>();
      plain_spread += plain["distance_squared"][k].get<double>();
    }
    EXPECT_LT(spread, plain_spread) << method;
  }
}

TEST_F(Align, MergeAlignsAndRecomputesStatistics) {
  const CommandResult merged =
      Basin({"merge", kConfig, Member(0), Member(1), "--align", "weight", "--renorm", "reset", "--out", Path("reset.safetensors")});
  EXPECT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_TRUE(base::ReadJson(Path("reset.safetensors.json")).contains("test"));
}

TEST_F(Align, LmcMeasuresTheSameAloneAndShared) {
  const std::vector<std::string> words{"lmc", kConfig, Member(0), Member(1), Member(2), "--align", "weight", "--json"};
  const CommandResult alone = Basin(words), shared = UnderMpi(words);
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  ASSERT_EQ(shared.exit_code, 0) << shared.err;
  EXPECT_EQ(Json::parse(alone.out), Json::parse(shared.out));
  const Json report = Json::parse(alone.out);
  EXPECT_EQ(report["align"], "weight");
  EXPECT_EQ(report["aligned"].size(), 3u);
  for (const Json& curve : report["lmc"]) EXPECT_LT(curve["b"], 3) << "files are named by their number";
}

TEST_F(Align, TakesASpecificationInsteadOfAConfiguration) {
  base::WriteFileAtomically(Path("mine.yaml"), "no.such.tensor: [p]\n");
  const CommandResult refused = Basin({"match", Member(0), Member(1), "--symmetry", Path("mine.yaml"), "--out", Path("x.safetensors")});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("mine.yaml:1"), std::string::npos) << refused.err;
}

TEST_F(Align, RefusesWhatItCannotDo) {
  const auto code = [](std::vector<std::string> words) { return Basin(words).exit_code; };
  EXPECT_EQ(code({"match", Member(0), Member(1), "--out", Path("x.safetensors")}), 2) << "no configuration, no specification";
  EXPECT_EQ(code({"match", kConfig, Member(0), "--out", Path("x.safetensors")}), 2) << "one network";
  EXPECT_EQ(code({"match", kConfig, Member(0), Path("missing.safetensors"), "--out", Path("x.safetensors")}), 3);
  EXPECT_EQ(code({"lmc", kConfig, Member(0), Member(1), "--align", "universe"}), 2) << "aligns no pairs";
  const CommandResult shared = UnderMpi({"match", kConfig, Member(0), Path("missing.safetensors"), "--out", Path("x.safetensors")});
  EXPECT_EQ(shared.exit_code, 3) << shared.err;
  EXPECT_FALSE(std::filesystem::exists(Path("x.safetensors")));
}

TEST_F(Align, MatchingByDataKeepsTheFunctionAndDoesNotDependOnTheNumberOfRanks) {
  for (const std::string method : {"activation", "ste", "sinkhorn"}) {
    const auto words = [&](const std::string& out) {
      return std::vector<std::string>{"match", kConfig, Member(0), Member(1), "--align", method, "--samples", "256", "--seed", "3", "--out", Path(out)};
    };
    const CommandResult alone = Basin(words(method + "_alone.safetensors")), shared = UnderMpi(words(method + "_shared.safetensors"));
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    ASSERT_EQ(shared.exit_code, 0) << shared.err;
    ExpectSameFile(method + "_alone.safetensors", method + "_shared.safetensors");
    const Json report = base::ReadJson(Path(method + "_alone.safetensors.json"));
    EXPECT_EQ(report["align"], method);
    EXPECT_EQ(report["permutations"].size(), 4u);
    const Json scores = Json::parse(Basin({"eval", kConfig, Member(1), Path(method + "_alone.safetensors"), "--json"}).out);
    EXPECT_NEAR(scores["models"][0]["test"]["loss"], scores["models"][1]["test"]["loss"], 1e-5) << method;
  }
}

TEST_F(Align, CcaMergesButDoesNotMatch) {
  const CommandResult merged = Basin({"merge", kConfig, Member(0), Member(1), "--align", "cca", "--samples", "256", "--renorm", "reset", "--out",
                                      Path("cca.safetensors"), "--json"});
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_EQ(Json::parse(merged.out)["aligned"][1]["samples"], 256);
  const CommandResult refused = Basin({"match", kConfig, Member(0), Member(1), "--align", "cca", "--out", Path("no.safetensors")});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("cca is for merge only"), std::string::npos) << refused.err;
}

}  // namespace
}  // namespace basin
