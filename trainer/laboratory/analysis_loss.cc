// What the loss says: Taylor's estimate of the barrier, and the plane through three networks.
#include "base/error.h"
#include "merge/path.h"
#include "trainer/laboratory/analysis.h"
#include "trainer/numbers.h"

namespace basin::trainer {
namespace {

torch::Tensor CrossEntropy(const torch::Tensor& logits, const torch::Tensor& labels) {
  return torch::cross_entropy_loss(logits.to(torch::kFloat64), labels);
}

constexpr int kTaylorPoints = 9;  // of the line, ends included; odd: the middle is one

double MeanLoss(models::Classifier& model, const Sample& sample) {
  const torch::NoGradGuard no_grad;
  model.eval();
  double loss = 0, images_seen = 0;
  sample.labelled()([&](const torch::Tensor& images, const torch::Tensor& labels) {
    const auto weight = static_cast<double>(images.size(0));
    loss += weight * CrossEntropy(model.forward(images), labels).item<double>();
    images_seen += weight;
  });
  return loss / images_seen;
}

}  // namespace

AnalysisPart AnalyzeTaylor(Workshop& shop, const models::StateDict& a, const models::StateDict& b, int64_t samples, const TaskShare& share) {
  const Sample sample(shop.bench, *shop.model, samples);
  const auto lambdas = merge::Lambdas(kTaylorPoints);
  // Tasks: the two ends' derivatives, then the loss at each interior point.
  const auto results = share(kTaylorPoints, 3, [&](int64_t task) -> std::vector<double> {
    if (task < 2) {
      const auto end = merge::MeasureLineEnd(*shop.model, task == 0 ? a : b, a, b, sample.labelled(), CrossEntropy);
      return {end.loss, end.slope, end.curvature};
    }
    shop.Load(merge::Interpolate(a, b, lambdas[task - 1]), "interpolation");
    return {MeanLoss(*shop.model, sample), 0, 0};
  });
  const auto end = [&](size_t k) { return merge::LineEnd{results[k][0], results[k][1], results[k][2]}; };
  const auto as_json = [](const merge::LineEnd& at) { return base::Json{{"loss", at.loss}, {"slope", at.slope}, {"curvature", at.curvature}}; };
  base::Json points = base::Json::array(), middle;
  std::string csv = "lambda,estimate,barrier\n";
  for (int k = 1; k + 1 < kTaylorPoints; ++k) {
    const double lambda = lambdas[k], chord = (1 - lambda) * end(0).loss + lambda * end(1).loss;
    const double estimate = merge::TaylorBarrier(end(0), end(1), lambda), barrier = results[k + 1][0] - chord;
    points.push_back({{"lambda", lambda}, {"estimate", estimate}, {"barrier", barrier}});
    csv += Number(lambda) + ',' + Number(estimate) + ',' + Number(barrier) + '\n';
    if (2 * k == kTaylorPoints - 1) middle = points.back();
  }
  return {"taylor",
          {{"split", "train"}, {"images", sample.size()}, {"a", as_json(end(0))}, {"b", as_json(end(1))},
           {"estimate_mid", middle["estimate"]}, {"barrier_mid", middle["barrier"]}, {"points", std::move(points)}},
          std::move(csv)};
}

AnalysisPart AnalyzePlane(Workshop& shop, const std::vector<models::StateDict>& networks, const PlaneOptions& options, const TaskShare& share) {
  const merge::Plane plane(networks.at(0), networks.at(1), networks.at(2));
  const auto grid = merge::GridAround(plane, options.grid, options.margin);
  const bool reset = options.reset && models::HasBatchNorm(*shop.model);
  // The corners first, as they are.
  const auto results = share(std::ssize(grid) + 3, 2, [&](int64_t task) -> std::vector<double> {
    shop.Load(task < 3 ? networks[task] : plane.At(grid[task - 3]), "plane");
    if (reset && task >= 3) Recalibrate(*shop.model, shop.bench);
    const Score score = Evaluate(*shop.model, shop.bench, shop.dataset->test);
    return {score.loss, score.accuracy};
  });
  const auto as_json = [&](const merge::PlanePoint& point, size_t task) {
    return base::Json{{"x", point.x}, {"y", point.y}, {"loss", results[task][0]}, {"accuracy", results[task][1]}};
  };
  base::Json corners = base::Json::array(), points = base::Json::array();
  for (size_t k = 0; k < 3; ++k) corners.push_back(as_json(plane.corners()[k], k));
  std::string csv = "x,y,loss,accuracy\n";
  for (size_t k = 0; k < grid.size(); ++k) {
    points.push_back(as_json(grid[k], k + 3));
    csv += Number(grid[k].x) + ',' + Number(grid[k].y) + ',' + Number(results[k + 3][0]) + ',' + Number(results[k + 3][1]) + '\n';
  }
  return {"plane",
          {{"split", "test"}, {"renorm", reset ? "reset" : "none"}, {"grid", options.grid}, {"corners", std::move(corners)}, {"points", std::move(points)}},
          std::move(csv)};
}

}  // namespace basin::trainer
