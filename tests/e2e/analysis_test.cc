// Mending, pruning and analysis of finished models, as a user calls them.
#include <gtest/gtest.h>

#include <cmath>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/finished_run.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using test::Program;

constexpr const char* kConfig = R"(
population: {members: 3, init: different}
data: {name: shapes, train_limit: 400, test_limit: 100, validation: 0}
model: {name: mlp, hidden: [32, 32, 32], norm: none}
train: {steps: 80, batch_size: 32, optimizer: {name: adam, lr: 2.0e-3}}
strategy: {name: independent}
evaluate: {batch_size: 100}
lmc: {pairs: none}
report: {tensorboard: false, html: false}
)";

/// Three small networks without normalisation for all tests of this file.
class Analysis : public test::FinishedRun {
 protected:
  static void SetUpTestSuite() {
    configuration_ = new base::TemporaryFolder;
    base::WriteFileAtomically(Configuration(), kConfig);
    Train({Configuration()});
  }
  static void TearDownTestSuite() {
    delete configuration_;
    FinishedRun::TearDownTestSuite();
  }
  static std::string Configuration() { return (configuration_->path() / "run.yaml").string(); }
  static Json File(const std::string& name) { return base::ReadJson(Path(name)); }

 private:
  static inline base::TemporaryFolder* configuration_ = nullptr;
};

TEST_F(Analysis, MergeMendsInEveryWayAndSaysSo) {
  for (const std::vector<std::string>& how : std::vector<std::vector<std::string>>{
           {"--renorm", "repair"},
           {"--renorm", "rescale", "--form", "sequential"},
           {"--renorm", "reshift"},
           {"--renorm", "repair", "--form", "closed"},
           {"--renorm", "rescale", "--averaged", "--samples", "64"},
           {"--calibrate-bias", "--temperature"},
           {"--remove-biases", "2"}}) {
    std::vector<std::string> words{"merge", Configuration(), Member(0), Member(1), "--weights", "0.7,0.3", "--json", "--out", Path("mended.safetensors")};
    words.insert(words.end(), how.begin(), how.end());
    const Json report = AsJson(words);
    EXPECT_EQ(report["mending"]["renorm"], how[0] == "--renorm" ? how[1] : "none");
    EXPECT_TRUE(report["test"]["loss"].is_number());
    // The file is a plain model: eval reads it and finds the same.
    const Json scores = AsJson({"eval", Configuration(), Path("mended.safetensors"), "--json"});
    EXPECT_EQ(scores["models"][0]["test"]["accuracy"], report["test"]["accuracy"]);
  }
}

TEST_F(Analysis, RanksShareTheWorkAndFindTheSameBits) {
  const auto under_mpi = [](const std::vector<std::string>& words) {
    const CommandResult result = test::RunUnderMpi(2, Words(words), {.environment = {"OMP_NUM_THREADS=1"}});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  };
  const auto alone = [](const std::vector<std::string>& words) {
    const CommandResult result = test::RunCommand(Words(words), {.environment = {"OMP_NUM_THREADS=1"}});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  };
  const auto merge = [](const std::string& out) {
    return std::vector<std::string>{"merge", Configuration(), Member(0), Member(1), Member(2), "--renorm", "repair", "--out", Path(out)};
  };
  alone(merge("one.safetensors"));
  under_mpi(merge("two.safetensors"));
  EXPECT_EQ(base::ReadFile(Path("one.safetensors")), base::ReadFile(Path("two.safetensors")));
  const auto analyze = [](const std::string& out) {
    return std::vector<std::string>{"analyze", Configuration(), Member(0), Member(1), "--renorm", "repair", "--out", Path(out)};
  };
  alone(analyze("by_one"));
  under_mpi(analyze("by_two"));
  for (const char* part : {"distance.json", "singular.json", "collapse.json", "taylor.json"}) {
    EXPECT_EQ(base::ReadFile(Path("by_one") + '/' + part), base::ReadFile(Path("by_two") + '/' + part)) << part;
  }
}

TEST_F(Analysis, AnInputIsNeverWrittenOver) {
  const std::string before = base::ReadFile(Member(1)), config = base::ReadFile(Configuration());
  const auto refused = [&](const std::vector<std::string>& words) {
    const CommandResult result = Basin(words);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find("--out"), std::string::npos) << result.err;
  };
  refused({"merge", Member(0), Member(1), "--out", Member(1)});
  refused({"match", Configuration(), Member(0), Member(1), "--out", Path("run/members/../members/001.safetensors")});
  refused({"prune", Configuration(), Member(1), "--sparsity", "0.5", "--out", Configuration()});
  refused({"lmc", Configuration(), Member(0), Member(1), "--points", "3", "--out", Member(1)});
  refused({"analyze", Configuration(), Member(0), Member(1), "--out", Member(1)});
  EXPECT_EQ(base::ReadFile(Member(1)), before);
  EXPECT_EQ(base::ReadFile(Configuration()), config);
}

TEST_F(Analysis, TheBarrierInTheMiddleIsMeasuredThereForEveryNumberOfPoints) {
  const auto middle = [](const char* points) {
    const Json report = AsJson({"lmc", Configuration(), Member(0), Member(1), "--points", points, "--json"});
    return report["lmc"][0]["barrier_mid"].get<double>();
  };
  const double odd = middle("3");
  EXPECT_EQ(middle("2"), odd);
  EXPECT_EQ(middle("4"), odd);
}

TEST_F(Analysis, AResetWithoutBatchNormIsReportedAsNone) {
  const CommandResult result = Basin({"merge", Configuration(), Member(0), Member(1), "--renorm", "reset", "--out", Path("reset.safetensors")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("no batch norm"), std::string::npos) << result.err;
  EXPECT_EQ(File("reset.safetensors.json")["renorm"], "none");
}

TEST_F(Analysis, MendingThatMakesNoSenseIsRefused) {
  EXPECT_EQ(Basin({"merge", Configuration(), Member(0), Member(1), "--renorm", "reset", "--form", "sequential", "--out", Path("x.safetensors")}).exit_code, 2);
  EXPECT_EQ(Basin({"merge", Configuration(), Member(0), Member(1), "--renorm", "mend", "--out", Path("x.safetensors")}).exit_code, 2);
  EXPECT_EQ(Basin({"merge", Member(0), Member(1), "--renorm", "repair", "--out", Path("x.safetensors")}).exit_code, 2);
  EXPECT_EQ(Basin({"merge", Configuration(), "--set", "model.norm=batch", Member(0), Member(1), "--calibrate-bias", "--out", Path("x.safetensors")}).exit_code, 3);
  EXPECT_EQ(Basin({"merge", Configuration(), Member(0), Member(1), "--remove-biases", "99", "--out", Path("x.safetensors")}).exit_code, 2);
}

TEST_F(Analysis, LmcHasTheMendedCurveBesideThePlainOneAndPictures) {
  const Json report = AsJson({"lmc", Configuration(), Member(0), Member(1), Member(2), "--points", "3", "--renorm", "repair", "--out", Path("lmc"), "--json"});
  ASSERT_EQ(report["lmc"].size(), 12U);  // pairs x splits x (none, repair)
  double none = 0, repaired = 0;
  for (const Json& entry : report["lmc"]) {
    if (entry["split"] == "train") (entry["renorm"] == "none" ? none : repaired) += entry["barrier_mid"].get<double>();
  }
  // Unaligned networks without normalisation: their midpoints are collapsed.
  EXPECT_NE(none, repaired);
  for (const char* name : {"lmc.csv", "barriers.json", "loss_0-1.svg", "accuracy_1-2.svg", "barriers_none.svg", "barriers_repair.svg"}) {
    EXPECT_TRUE(std::filesystem::exists(Path("lmc") + '/' + name)) << name;
  }
  const std::string csv = base::ReadFile(Path("lmc/lmc.csv"));
  EXPECT_NE(csv.find(",repair\n"), std::string::npos);
}

TEST_F(Analysis, AnalyzeWritesEveryPartInItsShape) {
  const Json summary = AsJson({"analyze", Configuration(), Member(0), Member(1), Member(2), "--renorm", "repair", "--grid", "4", "--out", Path("analysis"), "--json"});
  const Json distance = File("analysis/distance.json");
  EXPECT_NEAR(std::pow(distance["l2"].get<double>(), 2) / distance["l2_squared"].get<double>(), 1, 1e-12);
  double sum = 0;
  for (const Json& layer : distance["layers"]) sum += layer["l2_squared"].get<double>();
  EXPECT_NEAR(sum / distance["l2_squared"].get<double>(), 1, 1e-12);
  const Json singular = File("analysis/singular.json");
  ASSERT_EQ(singular["layers"].size(), 4U);
  EXPECT_EQ(singular["layers"][1]["values_a"].size(), 32U);
  EXPECT_EQ(singular["r"][0]["gamma"], 0);
  EXPECT_EQ(singular["r"][1]["gamma"], 0.3);
  const Json collapse = File("analysis/collapse.json");
  ASSERT_EQ(collapse["layers"].size(), 4U);
  ASSERT_EQ(collapse["relus"].size(), 3U);
  for (const char* key : {"variance_a", "variance_b", "variance_merged", "variance_mended", "variance_ratio_merged", "feature_ratio_merged", "weight_merged", "correlation"}) {
    EXPECT_TRUE(collapse["layers"][0][key].is_number()) << key;
  }
  // Independent networks lose variance at their midpoint, and repair gives it back.
  EXPECT_LT(collapse["layers"][1]["variance_ratio_merged"].get<double>(), 0.7);
  EXPECT_NEAR(collapse["layers"][1]["variance_ratio_mended"].get<double>(), 1, 0.25);
  EXPECT_TRUE(File("analysis/taylor.json")["estimate_mid"].is_number());
  const Json plane = File("analysis/plane.json");
  EXPECT_EQ(plane["points"].size(), 16U);
  EXPECT_EQ(plane["corners"][1]["y"], 0);
  EXPECT_NEAR(plane["corners"][1]["x"].get<double>() / distance["l2"].get<double>(), 1, 1e-9);
  for (const char* part : {"distance", "singular", "collapse", "taylor", "plane"}) {
    EXPECT_TRUE(std::filesystem::exists(Path("analysis") + '/' + part + ".csv")) << part;
  }
  for (const char* picture : {"singular", "alignment", "variance_ratio", "activations", "taylor", "plane_loss", "plane_accuracy"}) {
    EXPECT_TRUE(std::filesystem::exists(Path("analysis") + '/' + picture + ".svg")) << picture;
  }
  EXPECT_EQ(summary["distance"]["l2"], distance["l2"]);
}

TEST_F(Analysis, AnalyzeUnderMpirunWritesTheSameBytes) {
  const std::vector<std::string> words{Program("basin"), "analyze", Configuration(), Member(0), Member(1), Member(2), "--grid", "3", "--out"};
  const auto run = [&](int ranks, const std::string& out) {
    auto all = words;
    all.push_back(Path(out));
    // One thread everywhere: sums have one order.
    const test::CommandOptions options{.environment = {"OMP_NUM_THREADS=1"}};
    const CommandResult result = ranks == 1 ? test::RunCommand(all, options) : test::RunUnderMpi(ranks, all, options);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  };
  run(1, "alone");
  run(3, "together");
  for (const char* name : {"distance.json", "singular.json", "collapse.csv", "taylor.json", "plane.csv", "plane_loss.svg"}) {
    EXPECT_EQ(base::ReadFile(Path("alone") + '/' + name), base::ReadFile(Path("together") + '/' + name)) << name;
  }
}

TEST_F(Analysis, AlignedNetworksAreMendedTowardsWhatWasMerged) {
  const Json report = AsJson({"merge", Configuration(), Member(0), Member(1), "--align", "weight", "--renorm", "repair", "--out", Path("fitted.safetensors"), "--json"});
  EXPECT_EQ(report["align"], "weight");
  EXPECT_EQ(report["mending"]["renorm"], "repair");
  const Json lines = AsJson({"lmc", Configuration(), Member(0), Member(1), "--align", "weight", "--renorm", "repair", "--points", "3", "--json"});
  EXPECT_EQ(lines["lmc"].size(), 4U);
}

TEST_F(Analysis, AModelBesideItselfHasDistanceZeroAlignmentOneAndNoCollapse) {
  const Json summary = AsJson({"analyze", Configuration(), Member(0), Member(0), "--out", Path("self"), "--json"});
  EXPECT_EQ(summary["distance"]["l2"], 0);
  for (const Json& r : summary["singular"]["r"]) EXPECT_NEAR(r["value"].get<double>(), 1, 1e-9);
  for (const Json& layer : summary["collapse"]["layers"]) {
    EXPECT_EQ(layer["variance_ratio_merged"], 1);
    if (layer["correlation"].is_number()) EXPECT_GT(layer["correlation"].get<double>(), 0.5);  // less than 1 by dead units alone
  }
  EXPECT_EQ(summary["taylor"]["estimate_mid"], 0);
  // The ends are scored in a pass that is differentiated, the middle is not: float32 sums in another order.
  EXPECT_NEAR(summary["taylor"]["barrier_mid"].get<double>(), 0, 1e-6);  // the chord's own rounding
}

TEST_F(Analysis, AnalyzeRefusesFourModelsAndThreeOnALine) {
  EXPECT_EQ(Basin({"analyze", Configuration(), Member(0), "--out", Path("no")}).exit_code, 2);
  EXPECT_EQ(Basin({"analyze", Configuration(), Member(0), Member(1), Member(0), "--out", Path("no")}).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(Path("no")));
}

TEST_F(Analysis, PruneZeroesExactlyWhatWasAskedAndMends) {
  const Json report = AsJson({"prune", Configuration(), Member(0), "--sparsity", "0.8", "--renorm", "repair", "--samples", "256", "--out", Path("pruned.safetensors"), "--json"});
  EXPECT_EQ(report["zeros"].get<int64_t>(), std::llround(0.8 * report["prunable"].get<double>()));
  EXPECT_EQ(report["mending"]["samples"], 256);
  EXPECT_NE(report["test"]["loss"], report["pruned_test"]["loss"]);
  const Json scores = AsJson({"eval", Configuration(), Path("pruned.safetensors"), "--json"});
  EXPECT_EQ(scores["models"][0]["test"]["accuracy"], report["test"]["accuracy"]);
  EXPECT_EQ(File("pruned.safetensors.json")["scope"], "global");
  EXPECT_EQ(Basin({"prune", Configuration(), Member(0), "--sparsity", "1.5", "--out", Path("x.safetensors")}).exit_code, 2);
}

}  // namespace
}  // namespace basin
