#include "trainer/evaluate.h"

#include <gtest/gtest.h>

#include "data/registry.h"
#include "models/registry.h"
#include "models/state_dict.h"

namespace basin::trainer {
namespace {

TEST(Score, OfKnownLogitsIsTheClosedForm) {
  // softmax of (0, ln 3) is (1/4, 3/4).
  const torch::Tensor logits = torch::tensor({{0.0f, std::log(3.0f)}, {0.0f, std::log(3.0f)}});
  const Score score = ScoreLogits(logits, torch::tensor({1, 0}, torch::kInt64));
  EXPECT_NEAR(score.loss, -(std::log(0.75) + std::log(0.25)) / 2, 1e-7);  // float32 logits
  EXPECT_EQ(score.accuracy, 0.5);
}

class Evaluation : public testing::Test {
 protected:
  std::shared_ptr<const data::Dataset> dataset =
      data::LoadDataset({.name = "shapes", .train_limit = 130, .test_limit = 70, .validation = 0});
  std::shared_ptr<models::Classifier> model = models::MakeModel({.name = "convnet", .width = 0.25}, {3, 20, 20}, 10);
  Bench BenchOf(int64_t batch_size) const { return {*dataset, {.batch_size = batch_size, .recalibrate_batches = 100}}; }
};

TEST_F(Evaluation, DoesNotDependOnTheBatchSize) {
  const torch::Tensor at_once = Logits(*model, BenchOf(1000), dataset->test);
  const torch::Tensor in_pieces = Logits(*model, BenchOf(17), dataset->test);
  // The convolutions may sum in another order for another batch size.
  EXPECT_TRUE(torch::allclose(at_once, in_pieces, 1e-5, 1e-5));
}

TEST_F(Evaluation, TellsOfEveryBatch) {
  Bench bench = BenchOf(32);
  int batches = 0;
  bench.after_batch = [&] { ++batches; };
  Logits(*model, bench, dataset->test);  // 70 images
  EXPECT_EQ(batches, 3);
  Recalibrate(*model, bench);  // 130 images
  EXPECT_EQ(batches, 3 + 5);
}

TEST_F(Evaluation, OfALimitLooksAtTheFirstSamples) {
  const torch::Tensor all = Logits(*model, BenchOf(10), dataset->test);
  EXPECT_TRUE(torch::equal(Logits(*model, BenchOf(10), dataset->test, 20), all.slice(0, 0, 20)));
}

TEST_F(Evaluation, LeavesTheNetworkAsItWas) {
  const models::StateDict before = models::CloneState(models::StateOf(*model));
  Evaluate(*model, BenchOf(32), dataset->test);
  for (const auto& [name, tensor] : before) {
    EXPECT_TRUE(torch::equal(tensor, *models::FindTensor(models::StateOf(*model), name))) << name;
  }
}

TEST_F(Evaluation, RecalibrationRepeatsBitForBit) {
  Recalibrate(*model, BenchOf(32));
  const models::StateDict first = models::CloneState(models::StateOf(*model));
  Recalibrate(*model, BenchOf(32));
  for (const auto& [name, tensor] : models::StateOf(*model)) {
    EXPECT_TRUE(torch::equal(tensor, *models::FindTensor(first, name))) << name;
  }
}

TEST_F(Evaluation, RecalibrationOfTheFirstLayerFindsTheMeanOfItsInputs) {
  Recalibrate(*model, BenchOf(1000));  // one batch of all images
  const torch::NoGradGuard no_grad;
  const auto state = models::StateOf(*model);
  const torch::Tensor images = data::TakeImages(dataset->train, dataset->normalisation, torch::arange(130), torch::kCPU, false);
  const torch::Tensor x = torch::conv2d(images, *models::FindTensor(state, "conv1.weight"), {}, 1, 1);
  // float32 sums over 52,000 values in another order.
  EXPECT_TRUE(torch::allclose(x.mean({0, 2, 3}), *models::FindTensor(state, "bn1.running_mean"), 1e-4, 1e-5));
}

}  // namespace
}  // namespace basin::trainer
