#include "merge/plane.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "merge/match.h"

namespace basin::merge {
namespace {

/// Inner products of b - a and c - a over the trainable tensors.
struct Gram {
  double bb = 0, bc = 0, cc = 0;
};

Gram Products(const std::vector<const models::StateDict*>& networks) {
  Gram gram;
  for (const Versions& versions : MatchStates(networks)) {
    if (models::IsBatchNormStatistic(versions.name) || !versions.tensors[0].is_floating_point()) continue;
    const torch::Tensor a = versions.tensors[0].to(torch::kFloat64);
    const torch::Tensor b = versions.tensors[1].to(torch::kFloat64) - a, c = versions.tensors[2].to(torch::kFloat64) - a;
    gram.bb += b.square().sum().item<double>();
    gram.bc += (b * c).sum().item<double>();
    gram.cc += c.square().sum().item<double>();
  }
  return gram;
}

}  // namespace

Plane::Plane(const models::StateDict& a, const models::StateDict& b, const models::StateDict& c) : networks_{a, b, c} {
  const torch::NoGradGuard no_grad;
  const Gram gram = Products({&networks_[0], &networks_[1], &networks_[2]});
  const double along = gram.bb > 0 ? gram.bc / std::sqrt(gram.bb) : 0;
  const double height_squared = gram.cc - along * along;
  if (gram.bb <= 0 || height_squared <= 1e-10 * gram.cc) {
    throw ConfigError("the three networks lie on one line (or two are the same), so there is no plane through them");
  }
  corners_ = {{{0, 0}, {std::sqrt(gram.bb), 0}, {along, std::sqrt(height_squared)}}};
}

std::array<double, 3> Plane::WeightsAt(const PlanePoint& point) const {
  for (size_t k = 0; k < 3; ++k) {
    if (point.x == corners_[k].x && point.y == corners_[k].y) return {k == 0 ? 1.0 : 0.0, k == 1 ? 1.0 : 0.0, k == 2 ? 1.0 : 0.0};
  }
  const double of_c = point.y / corners_[2].y;
  const double of_b = (point.x - of_c * corners_[2].x) / corners_[1].x;
  return {1 - of_b - of_c, of_b, of_c};
}

models::StateDict Plane::At(const PlanePoint& point) const {
  const torch::NoGradGuard no_grad;
  const auto weights = WeightsAt(point);
  const std::vector<const models::StateDict*> networks{&networks_[0], &networks_[1], &networks_[2]};
  models::StateDict state;
  for (const Versions& versions : MatchStates(networks)) {
    const auto& [a, b, c] = std::tie(versions.tensors[0], versions.tensors[1], versions.tensors[2]);
    torch::Tensor out;
    if (!a.is_floating_point()) {
      out = torch::maximum(torch::maximum(a, b), c);
    } else {
      out = a.to(torch::kFloat64) * weights[0] + b.to(torch::kFloat64) * weights[1] + c.to(torch::kFloat64) * weights[2];
      if (versions.name.ends_with("running_var")) out = out.clamp_min(0);
      out = out.to(a.scalar_type());
    }
    state.push_back({versions.name, out});
  }
  return state;
}

std::vector<PlanePoint> GridAround(const Plane& plane, int points, double margin) {
  if (points < 2) throw ConfigError(Text("a grid of ", points, " points a side; allowed: at least 2"));
  const auto& corners = plane.corners();
  const double left = std::min(0.0, corners[2].x), right = std::max(corners[1].x, corners[2].x), top = corners[2].y;
  const double wide = right - left;
  std::vector<PlanePoint> grid;
  for (int row = 0; row < points; ++row) {
    for (int column = 0; column < points; ++column) {
      const auto place = [&](int k) { return -margin + (1 + 2 * margin) * k / (points - 1); };  // 0..1 within the box
      grid.push_back({left + wide * place(column), top * place(row)});
    }
  }
  return grid;
}

}  // namespace basin::merge
