#include "merge/activation_statistics.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

#include "base/error.h"
#include "merge/activation_matching.h"
#include "models/layers.h"
#include "tests/support/given_units.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using models::Classifier;
using tests::GivenUnits;
using tests::RandomTensor;
using tests::RelativeDifference;
using tests::RoughModel;

const models::InputShape kImage{3, 16, 16};

ImageBatches Images(int64_t count, int64_t size, uint64_t seed = 1) {
  return {count, [=](int64_t batch) { return RandomTensor({size, 3, 16, 16}, seed + static_cast<uint64_t>(batch)); }};
}

/// Both sets of activations, [samples, units] each, side by side as one batch of images.
ImageBatches Given(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor images = torch::cat({a, b}, 1).to(torch::kFloat32).view({a.size(0), 1, 1, -1});
  return {1, [=](int64_t) { return images; }};
}
PairStatistics MeasureGiven(const torch::Tensor& a, const torch::Tensor& b, const StatisticsOptions& options = {}) {
  GivenUnits first(a.size(1)), second(b.size(1));
  second.first_column = a.size(1);
  return MeasurePair(first, second, Given(a, b), options);
}

/// Ranks of any number: tasks are done in another order, and gathered.
TaskShare Backwards() {
  return [](int64_t count, int64_t values, const std::function<std::vector<double>(int64_t)>& task) {
    std::vector<std::vector<double>> rows(static_cast<size_t>(count));
    for (int64_t t = count - 1; t >= 0; --t) {
      rows[t] = task(t);
      EXPECT_EQ(std::ssize(rows[t]), values);
    }
    return rows;
  };
}

/// The samples of each convolution of a network without norms, float64 [units, samples]: every pixel counts.
std::vector<torch::Tensor> OutputsOf(Classifier& model, const ImageBatches& batches) {
  std::vector<torch::Tensor> outputs;
  auto layers = models::HookedLayers(model);
  for (size_t i = 0; i < layers.size(); ++i) {
    outputs.emplace_back();
    *layers[i].hook = [&outputs, i](const torch::Tensor& x) {
      const torch::Tensor rows = x.to(torch::kFloat64).transpose(0, 1).flatten(1);
      outputs[i] = outputs[i].defined() ? torch::cat({outputs[i], rows}, 1) : rows;
      return x;
    };
  }
  const torch::NoGradGuard no_grad;
  for (int64_t k = 0; k < batches.count; ++k) model.forward(batches.at(k));
  for (auto& layer : layers) *layer.hook = nullptr;
  return outputs;
}

TEST(MeasurePair, AgreesWithSumsInDoubleOverEveryPixel) {
  // The trap: a mean over images only, not over their pixels (N x H x W), centres wrongly.
  const models::ModelOptions options{.name = "convnet", .width = 0.5, .norm = models::Norm::kNone};
  const auto a = RoughModel(options, kImage, 1), b = RoughModel(options, kImage, 2);
  const ImageBatches batches = Images(3, 50);
  const auto xs = OutputsOf(*a, batches), ys = OutputsOf(*b, batches);
  for (const bool before : {false, true}) {
    const PairStatistics found = MeasurePair(*a, *b, batches, {.before_nonlinearity = before, .within = PairStatistics::Within::kFull});
    for (size_t i = 0; i < 4; ++i) {
      const torch::Tensor x = before ? xs[i] : xs[i].relu(), y = before ? ys[i] : ys[i].relu();
      const PairStatistics::Sums sums = found.of("P_conv" + std::to_string(i + 1));
      EXPECT_EQ(sums.count.item<double>(), static_cast<double>(x.size(1)));
      // Products are float32 GEMMs of 2^13 samples about the mean: sqrt(2^13) x 2^-24 = 5e-6.
      EXPECT_LT(RelativeDifference(sums.a, x.sum(1)), 1e-12);
      EXPECT_LT(RelativeDifference(sums.ab, x.mm(y.t())), 1e-5);
      EXPECT_LT(RelativeDifference(sums.aa, x.mm(x.t())), 1e-5);
      EXPECT_LT(RelativeDifference(sums.bb, y.mm(y.t())), 1e-5);
      const PairStatistics::Moments moments = found.MomentsOf("P_conv" + std::to_string(i + 1));
      const auto centred = [](const torch::Tensor& t) { return t - t.mean(1, true); };
      EXPECT_LT(RelativeDifference(moments.ab, centred(x).mm(centred(y).t()) / static_cast<double>(x.size(1))), 1e-5);
    }
  }
}

TEST(MeasurePair, DoesNotDependOnWhoSumsWhat) {
  const models::ModelOptions options{.name = "resnet20", .width = 0.25};
  const auto a = RoughModel(options, kImage, 1), b = RoughModel(options, kImage, 2);
  for (const int64_t count : {1, 3, 11}) {
    const PairStatistics alone = MeasurePair(*a, *b, Images(count, 6));
    const PairStatistics shared = MeasurePair(*a, *b, Images(count, 6), {}, Backwards());
    EXPECT_TRUE(torch::equal(alone.values(), shared.values())) << count;
  }
}

TEST(MeasurePair, LosesNothingToAMeanFarFromZero) {
  const torch::Tensor noise = RandomTensor({3000, 4}, 1).to(torch::kFloat64);
  // float32 at 4096 has steps of 2^-11, so take the numbers as they are after rounding.
  const torch::Tensor a = (noise + 4096).to(torch::kFloat32).to(torch::kFloat64), b = (noise.flip(1) + 2048).to(torch::kFloat32).to(torch::kFloat64);
  const PairStatistics::Moments moments = MeasureGiven(a, b, {.before_nonlinearity = true}).MomentsOf("P");
  const auto centred = [](const torch::Tensor& t) { return t - t.mean(0, true); };
  const torch::Tensor exact = centred(a).t().mm(centred(b)) / 3000;
  EXPECT_LT(RelativeDifference(moments.ab, exact), 5e-6);  // a plain float32 GEMM is off by more than 0.1 here
  EXPECT_LT(RelativeDifference(moments.aa, a.var(0, /*unbiased=*/false)), 5e-6);
}

TEST(MeasurePair, ListensToAResidualStreamAfterItsLastBlock) {
  const models::ModelOptions options{.name = "resnet20", .width = 0.25};
  const auto a = RoughModel(options, kImage, 1), b = RoughModel(options, kImage, 2);
  a->eval();
  const ImageBatches batches = Images(2, 20);
  const PairStatistics found = MeasurePair(*a, *b, batches);
  for (int stage = 0; stage < 3; ++stage) {
    EXPECT_EQ(found.of("P_stream" + std::to_string(stage)).count.item<double>(), 40.0 * 256 / (1 << 2 * stage));
  }
  // The classifier is linear in the mean over pixels of the last stream: the mean logits follow from the mean activations.
  const torch::NoGradGuard no_grad;
  const torch::Tensor logits = torch::cat({a->forward(batches.at(0)), a->forward(batches.at(1))});
  const models::StateDict state = models::StateOf(*a);
  const torch::Tensor mean = found.MomentsOf("P_stream2").mean_a.to(torch::kFloat32);
  const torch::Tensor expected = models::FindTensor(state, "fc.weight")->mv(mean) + *models::FindTensor(state, "fc.bias");
  EXPECT_LT(RelativeDifference(logits.mean(0), expected), 1e-5);  // float32 sums over the 16 units
}

TEST(MeasurePair, LeavesModesListenersAndStatisticsAsTheyWere) {
  const models::ModelOptions options{.name = "convnet", .width = 0.25};
  const auto a = RoughModel(options, kImage, 1), b = RoughModel(options, kImage, 2);
  a->train();
  b->eval();
  const models::StateDict before = models::CloneState(models::StateOf(*a));
  const ImageBatches failing{2, [](int64_t batch) {
                               if (batch == 1) throw std::runtime_error("no more images");
                               return RandomTensor({4, 3, 16, 16}, 1);
                             }};
  EXPECT_THROW(MeasurePair(*a, *b, failing), std::runtime_error);
  EXPECT_TRUE(a->is_training());
  EXPECT_FALSE(b->is_training());
  EXPECT_FALSE(a->listener || b->listener);
  EXPECT_TRUE(tests::SameBits(before, models::StateOf(*a)));
}

TEST(MeasurePair, RefusesWhatCannotBeCompared) {
  const auto a = RoughModel({.name = "convnet", .width = 0.25}, kImage, 1), b = RoughModel({.name = "convnet", .width = 0.5}, kImage, 2);
  EXPECT_THROW(MeasurePair(*a, *b, Images(1, 2)), DataError);
  EXPECT_THROW(MeasurePair(*a, *a, Images(1, 2)), CheckFailed);
  EXPECT_THROW(MeasurePair(*a, *RoughModel({.name = "convnet", .width = 0.25}, kImage, 3), Images(0, 2)), CheckFailed);
}

TEST(PairStatistics, SaysThatThereWasNoSampleOrThatASumIsNotFinite) {
  PairStatistics statistics({{"P", 2}}, PairStatistics::Within::kDiagonal);
  EXPECT_THROW(statistics.MomentsOf("P"), DataError);
  statistics.of("P").count.fill_(1);
  statistics.of("P").ab[0][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(statistics.MomentsOf("P"), DataError);
  EXPECT_THROW(statistics.of("Q"), CheckFailed);
}

TEST(SimilarityOf, AgreesWithNumpysCorrelations) {
  // tests/golden/activation_matching.py
  const torch::Tensor after = torch::tensor({0.22978513452665131, -0.23264300764686874, -0.10936697783449059, 0.32202093624353401,
                                             -0.11578711355682204, -0.13398241128639488, -0.11413626226346783, -0.151872049417487,
                                             0.045022362764871135}, torch::kFloat64);
  const torch::Tensor before = torch::tensor({0.1680131458431792, -0.094237253224311548, -0.054189560067984394, 0.36930187052052027,
                                              -0.10651214003836527, 0.17392237211125544, -0.10312900729717003, -0.14448239894598039,
                                              0.054098775633037915}, torch::kFloat64);
  torch::Tensor a = torch::empty({40, 3}, torch::kFloat64), b = a.clone();
  for (int sample = 0; sample < 40; ++sample) {
    for (int unit = 0; unit < 3; ++unit) {
      a[sample][unit] = ((7 * sample * (unit + 1) + 3 * unit) % 65 - 32) / 4.0;
      b[sample][unit] = ((11 * sample * sample + 5 * unit * sample) % 65 - 32) / 4.0;
    }
  }
  for (const bool is_before : {false, true}) {
    const PairStatistics statistics = MeasureGiven(a, b, {.before_nonlinearity = is_before});
    const torch::Tensor found = SimilarityOf(statistics, "P", Similarity::kCorrelation, /*epsilon=*/0);
    EXPECT_LT((found.flatten() - (is_before ? before : after)).abs().max().item<double>(), 1e-6);  // a float32 GEMM
    const torch::Tensor x = is_before ? a : a.relu(), y = is_before ? b : b.relu();
    EXPECT_LT(RelativeDifference(SimilarityOf(statistics, "P", Similarity::kSecondMoment), x.t().mm(y) / 40), 1e-6);
  }
}

TEST(SimilarityOf, IsZeroForDeadAndConstantUnits) {
  torch::Tensor a = RandomTensor({50, 3}, 1).abs(), b = RandomTensor({50, 3}, 2).abs();
  a.select(1, 1).fill_(-1);  // never active
  b.select(1, 2).fill_(3);   // always the same
  const PairStatistics statistics = MeasureGiven(a, b);
  for (const double epsilon : {0.0, 1e-4}) {
    const torch::Tensor found = SimilarityOf(statistics, "P", Similarity::kCorrelation, epsilon);
    EXPECT_TRUE(found.isfinite().all().item<bool>());
    EXPECT_EQ(found[1].abs().max().item<double>(), 0);
    EXPECT_EQ(found.select(1, 2).abs().max().item<double>(), 0);
  }
  EXPECT_EQ(SimilarityOf(statistics, "P", Similarity::kSecondMoment)[1].abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace basin::merge
