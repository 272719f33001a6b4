#include "trainer/member.h"

#include <gtest/gtest.h>

#include "data/registry.h"
#include "merge/renormalise.h"
#include "models/registry.h"
#include "models/state_dict.h"

namespace basin::trainer {
namespace {

class Members : public testing::Test {
 protected:
  static RunConfig Config(const std::string& data_keys = "") {
    return ParseRunConfig(
        "{run: {seed: 3}, population: {members: 2}, model: {name: convnet, width: 0.25},"
        " data: {train_limit: 200, test_limit: 20" +
            data_keys + "}, train: {steps: 9, batch_size: 16}}",
        "a.yaml", "/", {});
  }
  std::shared_ptr<const data::Dataset> dataset = data::LoadDataset(Config().data);
};

TEST_F(Members, StartFromWeightsOfTheSeedTheirNumberAndInitAlone) {
  const auto hash = [&](const RunConfig& config, int64_t id) {
    return Member(config, *dataset, id, torch::kCPU).params().values_hash();
  };
  RunConfig different = Config(), papa = Config(), seed = Config();
  different.population.init = Init::kDifferent;
  papa.strategy = PapaOptions{};
  seed.seed = 4;
  EXPECT_EQ(hash(Config(), 0), hash(Config(), 1));
  EXPECT_EQ(hash(different, 0), hash(Config(), 0));
  EXPECT_NE(hash(different, 0), hash(different, 1));
  EXPECT_EQ(hash(papa, 0), hash(Config(), 0));
  EXPECT_NE(hash(seed, 0), hash(Config(), 0));
}

TEST_F(Members, AreMeasuredOnFiveOfTheirOwnBatchesAugmentedAsInTraining) {
  const RunConfig config = Config(", augment: [{random_erasing: {p: 1}}, {mixup: {alpha: 1}}]");
  Member member(config, *dataset, 1, torch::kCPU);
  const uint64_t seed = ~config.seed;
  data::Batches batches(dataset->train.size(), 16, seed, 1);
  const auto expected = merge::MeasureActivations(member.model(), [&](const auto& visit) {
    for (uint64_t k = 0; k < 5; ++k) {
      const torch::Tensor indices = batches.Next();
      data::Batch batch{.images = data::TakeImages(dataset->train, dataset->normalisation, indices,
                                                   torch::kCPU, false),
                        .labels = dataset->train.labels.index_select(0, indices)};
      data::Augment(batch, config.augment,
                    {.run_seed = seed, .purpose = base::Purpose::kAugment, .a = k, .b = 1});
      visit(batch.images);
    }
  });
  const torch::Tensor measured = member.MeasureActivations();
  // The memory format may change the order of the sums.
  EXPECT_TRUE(torch::allclose(measured.narrow(0, 0, expected.mean[0].numel()), expected.mean[0],
                              1e-4, 1e-5));
  EXPECT_FALSE(
      torch::equal(measured, Member(Config(), *dataset, 1, torch::kCPU).MeasureActivations()));
}

TEST_F(Members, TrainOnAsIfNothingHadBeenMeasuredOrRepaired) {
  const RunConfig config = Config();
  Member measured(config, *dataset, 0, torch::kCPU), other(config, *dataset, 0, torch::kCPU);
  const torch::Tensor target = measured.MeasureActivations();
  for (int64_t step = 0; step < 3; ++step) {
    EXPECT_EQ(measured.TrainStep(step, 0.1).item<float>(), other.TrainStep(step, 0.1).item<float>())
        << step;
  }
  EXPECT_EQ(measured.params().values_hash(), other.params().values_hash());
}

TEST_F(Members, AreBroughtToTheTargetByRepair) {
  const RunConfig config = Config();
  Member member(config, *dataset, 0, torch::kCPU);
  const torch::Tensor before = member.MeasureActivations();
  const int64_t units = before.numel() / 2;
  torch::Tensor target = before.clone();
  target.slice(0, units) *= 2;  // the deviations, which a layer without bias can follow
  member.Repair(target);
  const torch::Tensor after = member.MeasureActivations();
  // Batch by batch the outputs are scaled to the target, so that their mean over batches meets it
  // within a few per cent.
  EXPECT_TRUE(torch::allclose(after.slice(0, units), target.slice(0, units), 0.05, 0));
}

TEST_F(Members, AlignedToTheirOwnWeightsBeforeAShuffleOfTheUnitsAreAsBeforeToTheBit) {
  const RunConfig config = Config();
  Member member(config, *dataset, 0, torch::kCPU);
  for (int64_t step = 0; step < 2; ++step) member.TrainStep(step, 0.1);  // moments and statistics are those of their units
  const models::PermutationSpec spec = member.model().symmetry();
  const auto clone = [](const std::vector<torch::Tensor>& tensors) {
    std::vector<torch::Tensor> copies;
    for (const torch::Tensor& tensor : tensors) copies.push_back(tensor.clone());
    return copies;
  };
  const torch::Tensor weights = member.params().values().clone();
  const auto moments = clone(member.optimizer().moments()), statistics = clone(member.statistics());
  // The units of another member's place: what AlignTo does towards shuffled weights is itself a shuffle.
  models::Permutations shuffle;
  for (const auto& [id, size] : models::ValidateSpec(spec, models::StateOf(member.model()))) shuffle[id] = torch::arange(size - 1, -1, -1);
  Member other(config, *dataset, 0, torch::kCPU);
  models::LoadState(other.model(), models::ApplyPermutations(spec, shuffle, models::CloneState(models::StateOf(member.model()))));
  member.AlignTo(other.params().values());
  EXPECT_TRUE(torch::equal(member.params().values(), other.params().values()));
  EXPECT_FALSE(torch::equal(member.params().values(), weights));
  EXPECT_FALSE(torch::equal(member.optimizer().moments()[0], moments[0]));
  member.AlignTo(weights);
  EXPECT_TRUE(torch::equal(member.params().values(), weights));
  for (size_t k = 0; k < moments.size(); ++k) EXPECT_TRUE(torch::equal(member.optimizer().moments()[k], moments[k]));
  for (size_t k = 0; k < statistics.size(); ++k) EXPECT_TRUE(torch::equal(member.statistics()[k], statistics[k]));
}

}  // namespace
}  // namespace basin::trainer
