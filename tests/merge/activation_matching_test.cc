#include "merge/activation_matching.h"

#include <gtest/gtest.h>

#include <set>

#include "models/batch_norm.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using models::Norm;
using tests::RandomTensor;
using tests::RoughModel;

struct Case {
  models::ModelOptions options;
  std::string label;
};
std::vector<Case> EveryArchitecture() {
  std::vector<Case> cases;
  for (const std::string& name : models::ModelNames()) {
    if (name == "torchscript") continue;  // its units are not known
    for (const auto& [norm, label] : {std::pair{Norm::kBatch, "batch"}, {Norm::kLayer, "layer"}, {Norm::kNone, "none"}}) {
      models::ModelOptions options{.name = name, .width = 0.25, .norm = norm};
      if (name == "mlp") options.hidden = {64, 48, 32};
      cases.push_back({options, name + "_" + label});
    }
  }
  return cases;
}

class Planted : public testing::TestWithParam<Case> {
 protected:
  /// As at the beginning of training, but with units that differ in gain and bias, and statistics that fit the images: the signal
  /// neither dies nor explodes on its way.
  std::shared_ptr<models::Classifier> HealthyModel() const {
    const torch::NoGradGuard no_grad;
    const auto model = models::MakeModel(GetParam().options, image, 10);
    models::InitialiseWeights(*model, 1, 0);
    uint64_t seed = 50;
    for (torch::Tensor& parameter : model->parameters()) {
      if (parameter.dim() == 1) parameter.add_(0.1 * RandomTensor(parameter.sizes().vec(), seed++));
    }
    models::RecalibrateBatchNorm(*model, [this](const auto& visit) {
      for (int64_t k = 0; k < batches.count; ++k) visit(batches.at(k));
    });
    return model;
  }

  const models::InputShape image{3, 32, 32};
  const ImageBatches batches{2, [](int64_t batch) { return RandomTensor({3, 3, 32, 32}, 7 + static_cast<uint64_t>(batch)); }};
};

TEST_P(Planted, TheNetworkTellsOfEveryIdOnce) {
  const auto model = RoughModel(GetParam().options, image, 1);
  model->eval();
  const auto sizes = models::ValidateSpec(model->symmetry(), models::StateOf(*model));
  std::multiset<std::string> told;
  model->listener = [&](const std::string& id, const torch::Tensor& x) {
    told.insert(id);
    EXPECT_EQ(x.size(1), sizes.at(id)) << id;
  };
  const torch::NoGradGuard no_grad;
  const torch::Tensor heard = model->forward(batches.at(0));
  std::multiset<std::string> ids;
  for (const auto& [id, size] : sizes) ids.insert(id);
  EXPECT_EQ(told, ids);
  model->listener = nullptr;
  EXPECT_TRUE(torch::equal(heard, model->forward(batches.at(0))));
}

TEST_P(Planted, AShuffledNetworkIsPutBackInOrder) {
  const auto a = HealthyModel(), b = models::MakeModel(GetParam().options, image, 10);
  const models::PermutationSpec spec = a->symmetry();
  const models::StateDict state = models::CloneState(models::StateOf(*a));
  const models::Permutations planted = tests::RandomPermutations(spec, state, 3);
  models::LoadState(*b, models::ApplyPermutations(spec, planted, state));
  for (const bool before : {true, false}) {
    const PairStatistics statistics = MeasurePair(*a, *b, batches, {.before_nonlinearity = before});
    const ActivationMatching found = MatchActivations(statistics);
    for (const auto& [id, mean] : found.similarity) {
      // Units seldom active on so few images cannot be told apart after the ReLU; no pairing is better than the planted one.
      const torch::Tensor gains = SimilarityOf(statistics, id, Similarity::kCorrelation);
      EXPECT_GE(mean.after + 1e-12, gains.gather(1, planted.at(id).argsort().unsqueeze(1)).mean().item<double>()) << id;
      EXPECT_GE(mean.after, mean.before) << id;
    }
    const models::StateDict back = models::ApplyPermutations(spec, found.permutations, models::StateOf(*b));
    if (before) EXPECT_TRUE(tests::SameBits(back, state));
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, Planted, testing::ValuesIn(EveryArchitecture()),
                         [](const auto& info) { return info.param.label; });

TEST(MatchActivations, LeavesANetworkBesideItselfInOrder) {
  const models::ModelOptions options{.name = "mlp", .norm = Norm::kNone, .hidden = {24, 20}};
  const models::InputShape image{3, 8, 8};
  const auto a = RoughModel(options, image, 1), b = RoughModel(options, image, 1);
  const ImageBatches batches{1, [](int64_t) { return RandomTensor({100, 3, 8, 8}, 1); }};
  for (const bool before : {false, true}) {
    const ActivationMatching found = MatchActivations(MeasurePair(*a, *b, batches, {.before_nonlinearity = before}));
    for (const auto& [id, pi] : found.permutations) EXPECT_TRUE(torch::equal(pi, torch::arange(pi.numel()))) << id;
    // 1 but for epsilon, and for units that are never active.
    EXPECT_NEAR(found.similarity.at("P_0").after, 1, 1e-3);
  }
}

TEST(MatchActivations, PutsAShuffledNetworkBackInOrderAfterTheReLUToo) {
  const models::ModelOptions options{.name = "mlp", .norm = Norm::kLayer, .hidden = {64, 48, 32}};
  const models::InputShape image{3, 8, 8};
  const auto a = RoughModel(options, image, 1), b = RoughModel(options, image, 2);
  const models::StateDict state = models::CloneState(models::StateOf(*a));
  models::LoadState(*b, models::ApplyPermutations(a->symmetry(), tests::RandomPermutations(a->symmetry(), state, 3), state));
  const ImageBatches batches{4, [](int64_t batch) { return RandomTensor({250, 3, 8, 8}, static_cast<uint64_t>(batch)); }};
  for (const Similarity similarity : {Similarity::kCorrelation, Similarity::kSecondMoment}) {
    const ActivationMatching found = MatchActivations(MeasurePair(*a, *b, batches), similarity);
    EXPECT_TRUE(tests::SameBits(models::ApplyPermutations(a->symmetry(), found.permutations, models::StateOf(*b)), state));
  }
}

TEST(MatchActivations, MaximisesTheSumOfSimilarities) {
  PairStatistics statistics({{"P", 3}}, PairStatistics::Within::kDiagonal);
  const auto sums = statistics.of("P");
  sums.count.fill_(1);
  sums.ab.copy_(torch::tensor({9., 8., 0., 8., 1., 0., 5., 5., 2.}, torch::kFloat64).view({3, 3}));
  // Greedily 9 + 1 + 2 = 12; best 8 + 8 + 2 = 18.
  const ActivationMatching found = MatchActivations(statistics, Similarity::kSecondMoment);
  EXPECT_TRUE(torch::equal(found.permutations.at("P"), torch::tensor({1, 0, 2})));
  EXPECT_DOUBLE_EQ(found.similarity.at("P").before, 4);
  EXPECT_DOUBLE_EQ(found.similarity.at("P").after, 6);
}

}  // namespace
}  // namespace basin::merge
