#include "trainer/laboratory/mending.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "merge/average.h"
#include "models/registry.h"

namespace basin::trainer {
namespace {

using Kind = MendingOptions::Renorm;
using Form = MendingOptions::Form;

/// A configuration, its data, and three networks of its kind.
class Mending : public testing::Test {
 protected:
  explicit Mending(const std::string& norm = "none")
      : config_(ParseRunConfig("data: {name: shapes, train_limit: 120, test_limit: 20, validation: 0}\n"
                               "model: {name: mlp, hidden: [32, 32], norm: " + norm + "}\n"
                               "train: {steps: 1, batch_size: 40}\nstrategy: {name: independent}\nevaluate: {batch_size: 40}\n",
                               "mending.yaml", ".", {})),
        shop_(config_) {
    for (uint64_t member = 0; member < 3; ++member) {
      models::InitialiseWeights(*shop_.model, 1, member);
      networks_.push_back(models::CloneState(models::StateOf(*shop_.model)));
    }
  }
  /// The mended merge's statistics over the sample, beside those wished for.
  void ExpectTargets(const MendingOptions& options, const std::vector<size_t>& of, const std::vector<double>& weights, double tolerance) {
    std::vector<models::StateDict> parents;
    std::vector<merge::ActivationStatistics> statistics;
    const Sample sample(shop_.bench, *shop_.model, options.samples);
    for (const size_t parent : of) {
      parents.push_back(networks_[parent]);
      shop_.Load(networks_[parent], "parent");
      statistics.push_back(merge::MeasureActivations(*shop_.model, sample.images(), merge::Pooling::kAllValues));
    }
    const auto target = merge::CombineStatistics(statistics, weights);
    shop_.Load(merge::AverageStates(parents, {.weights = weights}), "merge");
    Mender(options, shop_, networks_).Mend(*shop_.model, of, weights);
    const auto found = merge::MeasureActivations(*shop_.model, sample.images(), merge::Pooling::kAllValues);
    for (size_t i = 0; i < found.std.size(); ++i) {
      EXPECT_LT((found.std[i] / target.std[i] - 1).abs().max().item<double>(), tolerance) << "layer " << i;
    }
  }

  RunConfig config_;
  Workshop shop_;
  std::vector<models::StateDict> networks_;
};

TEST_F(Mending, SequentialRepairReachesTheWeightedTargetsOfTheNamedParents) {
  // eps takes 5e-6 target variance / own variance of each unit.
  ExpectTargets({.renorm = Kind::kRepair, .form = Form::kSequential}, {2, 0}, {0.3, 0.7}, 1e-3);
  ExpectTargets({.renorm = Kind::kRescale, .form = Form::kSequential}, {0, 1, 2}, {0.5, 0.25, 0.25}, 1e-3);
}

TEST_F(Mending, TemperatureChangesNoDecisionAndLowersTheLossOfTheSample) {
  shop_.Load(merge::AverageStates(std::vector{networks_[0], networks_[1]}), "merge");
  const torch::Tensor before = Logits(*shop_.model, shop_.bench, shop_.dataset->train);
  Mender mender({.temperature = true}, shop_, networks_);
  const double temperature = mender.Mend(*shop_.model, std::vector<size_t>{0, 1}, std::vector{0.5, 0.5});
  const torch::Tensor after = Logits(*shop_.model, shop_.bench, shop_.dataset->train);
  EXPECT_LT((after * temperature - before).abs().max().item<double>(), 1e-4);  // float32
  EXPECT_LE(ScoreLogits(after, shop_.dataset->train.labels).loss, ScoreLogits(before, shop_.dataset->train.labels).loss + 1e-9);
}

TEST_F(Mending, AFormWithoutACorrectionIsRefused) {
  EXPECT_THROW(Mender({.renorm = Kind::kReset, .form = Form::kClosed}, shop_, networks_), ConfigError);
  EXPECT_THROW(Mender({.renorm = Kind::kNone, .averaged = true}, shop_, networks_), ConfigError);
}

class MendingBatchNorm : public Mending {
 protected:
  MendingBatchNorm() : Mending("batch") {}
};

TEST_F(MendingBatchNorm, ResetIsRecalibration) {
  const auto merged = merge::AverageStates(std::vector{networks_[0], networks_[1]});
  shop_.Load(merged, "merge");
  Recalibrate(*shop_.model, shop_.bench);
  const auto wished = models::CloneState(models::StateOf(*shop_.model));
  shop_.Load(merged, "merge");
  Mender({.renorm = Kind::kReset}, shop_, networks_).Mend(*shop_.model, std::vector<size_t>{0, 1}, std::vector{0.5, 0.5});
  const auto found = models::StateOf(*shop_.model);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(torch::equal(found[i].tensor, wished[i].tensor)) << found[i].name;
}

TEST_F(MendingBatchNorm, BiasCalibrationIsForPlainNetworks) {
  Mender mender({.calibrate_biases = true}, shop_, networks_);
  EXPECT_THROW(mender.Mend(*shop_.model, std::vector<size_t>{0, 1}, std::vector{0.5, 0.5}), ConfigError);
}

TEST_F(Mending, ASampleIsOfTheSizeAskedForAndItsLabelsBelongToItsImages) {
  const Sample sample(shop_.bench, *shop_.model, 70);
  EXPECT_EQ(sample.size(), 70);
  int64_t seen = 0;
  sample.labelled()([&](const torch::Tensor& images, const torch::Tensor& labels) {
    EXPECT_EQ(images.size(0), labels.size(0));
    EXPECT_LE(images.size(0), 40);
    EXPECT_TRUE(torch::equal(labels, sample.labels().slice(0, seen, seen + labels.size(0))));
    seen += labels.size(0);
  });
  EXPECT_EQ(seen, 70);
  EXPECT_EQ(Sample(shop_.bench, *shop_.model, 0).size(), 120);
  EXPECT_THROW(Sample(shop_.bench, *shop_.model, 1), ConfigError);
}

}  // namespace
}  // namespace basin::trainer
