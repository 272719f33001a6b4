#include "data/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace basin::data {
namespace {

constexpr int kSize = kShapesSize;
constexpr int kPixels = kSize * kSize;
constexpr int kChannels = 3;
constexpr int kFine = 3 * kSize;  // sub-samples along one side
using Colour = std::array<double, kChannels>;

/// The output function of splitmix64 on the state after one increment.
uint64_t Mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// Random numbers of one image: a pure function of the position k, uniform in [0, 1) with 24 bits.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t image) : key_(Mix(Mix(seed) ^ image)) {}
  double operator()(uint64_t k) const { return static_cast<double>(Mix(key_ ^ k) >> 40) * 0x1.0p-24; }

 private:
  uint64_t key_;
};

struct Stroke {
  double x0, y0, ux, uy, width;
  Colour colour;
};

struct Drawing {
  double half_extent, centre_x, centre_y, cosine, sine, aspect, gradient_x, gradient_y;
  Colour background, foreground;
  std::array<Stroke, 2> strokes;
};

Drawing DrawParameters(const Draws& u) {
  Drawing d{};
  d.half_extent = (0.26 + (0.42 - 0.26) * u(0)) * kSize;
  d.centre_x = d.half_extent * 0.9 + (kSize - 1.8 * d.half_extent) * u(1);
  d.centre_y = d.half_extent * 0.9 + (kSize - 1.8 * d.half_extent) * u(2);
  const double t = 0.6 * (2 * u(3) - 1);
  const double denominator = 1 + t * t;
  d.cosine = (1 - t * t) / denominator;
  d.sine = 2 * t / denominator;
  d.aspect = 0.8 + 0.4 * u(4);
  for (int c = 0; c < kChannels; ++c) {
    d.background[c] = 0.5 * u(5 + c);
    d.foreground[c] = 0.4 + (1 - 0.4) * u(8 + c);
  }
  d.gradient_x = 0.4 * (u(11) - 0.5);
  d.gradient_y = 0.4 * (u(12) - 0.5);
  for (int j = 0; j < 2; ++j) {
    const int k = 20 + 10 * j;
    Stroke& stroke = d.strokes[j];
    stroke.x0 = u(k) * kSize;
    stroke.y0 = u(k + 1) * kSize;
    stroke.ux = u(k + 2) * kSize - stroke.x0;
    stroke.uy = u(k + 3) * kSize - stroke.y0;
    stroke.width = 0.5 + 0.6 * u(k + 4);
    for (int c = 0; c < kChannels; ++c) stroke.colour[c] = 0.8 * u(k + 5 + c);
  }
  return d;
}

/// Of the nine sub-samples of each pixel, how many lie inside the shape. The products that only depend on a sub-sample's
/// row or column are computed once for each: the same operations on the same numbers, so the same bits.
template <typename Inside>
std::array<int, kPixels> CountInside(const Drawing& d, Inside inside) {
  std::array<double, kFine> cos_dx, sin_dx;
  for (int i = 0; i < kFine; ++i) {
    const double dx = (i / 3 + (i % 3 + 0.5) / 3 - d.centre_x) / d.half_extent;
    cos_dx[i] = d.cosine * dx;
    sin_dx[i] = d.sine * dx;
  }
  std::array<int, kPixels> count{};
  for (int j = 0; j < kFine; ++j) {
    const double dy = (j / 3 + (j % 3 + 0.5) / 3 - d.centre_y) / d.half_extent;
    const double sin_dy = d.sine * dy, cos_dy = d.cosine * dy;
    int* row = count.data() + j / 3 * kSize;
    for (int i = 0; i < kFine; ++i) row[i / 3] += inside((cos_dx[i] + sin_dy) * d.aspect, cos_dy - sin_dx[i]);
  }
  return count;
}

bool InsideStar(double x, double y) {
  if (!(x * x + y * y < 1.3)) return false;
  constexpr double kWide = 0.9510565162951535, kLow = 0.3090169943749474;
  constexpr double kNarrow = 0.5877852522924731, kHigh = -0.8090169943749475;
  const int planes = (0 * x + 1 * y < .36) + (kWide * x + kLow * y < .36) + (-kWide * x + kLow * y < .36) +
                     (kNarrow * x + kHigh * y < .36) + (-kNarrow * x + kHigh * y < .36);
  return planes >= 4;
}

bool InsideHeart(double x, double y) {
  const double u = x * 1.25, v = -y * 1.25 + .1, q = u * u + v * v - 1;
  return q * q * q - u * u * v * v * v < 0;
}

/// The shapes in their own coordinates, about [-1, 1]; y points down.
std::array<int, kPixels> CountInside(const Drawing& d, int64_t label) {
  using std::abs;
  switch (label) {
    case 0: return CountInside(d, [](double x, double y) { return x * x + y * y < .64; });
    case 1: return CountInside(d, [](double x, double y) { return .2304 < x * x + y * y && x * x + y * y < .7744; });
    case 2: return CountInside(d, [](double x, double y) { return std::max(abs(x), abs(y)) < .70; });
    case 3:
      return CountInside(d, [](double x, double y) {
        return .42 < std::max(abs(x), abs(y)) && std::max(abs(x), abs(y)) < .78;
      });
    case 4: return CountInside(d, [](double x, double y) { return y < .5 && 1.7320508075688772 * abs(x) - y < .95; });
    case 5:
      return CountInside(d, [](double x, double y) {
        return (abs(x) < .28 && abs(y) < .9) || (abs(y) < .28 && abs(x) < .9);
      });
    case 6: return CountInside(d, InsideStar);
    case 7:
      return CountInside(d, [](double x, double y) {
        return x * x + y * y < .7744 && (x - .42) * (x - .42) + y * y > .4225;
      });
    case 8: return CountInside(d, InsideHeart);
    case 9: return CountInside(d, [](double x, double y) { return abs(y) < .82 && abs(x) < .12 + .85 * abs(y); });
  }
  BASIN_CHECK(false, "label ", label);
}

/// How much of the stroke's colour the pixel centre (x, y) takes.
double StrokeCoverage(const Stroke& s, double x, double y) {
  const double q = std::clamp(((x - s.x0) * s.ux + (y - s.y0) * s.uy) / (s.ux * s.ux + s.uy * s.uy + 1e-9), 0.0, 1.0);
  const double ex = x - s.x0 - q * s.ux, ey = y - s.y0 - q * s.uy;
  return std::clamp(s.width + .5 - std::sqrt(ex * ex + ey * ey), 0.0, 1.0);
}

void DrawImage(const Draws& u, int64_t label, uint8_t* image) {
  const Drawing d = DrawParameters(u);
  const std::array<int, kPixels> count = CountInside(d, label);
  for (int p = 0; p < kPixels; ++p) {
    const double x = p % kSize + .5, y = p / kSize + .5;
    const double a = count[p] / 9.0;
    const double gradient = d.gradient_x * (x / kSize - .5) + d.gradient_y * (y / kSize - .5);
    const double first = StrokeCoverage(d.strokes[0], x, y), second = StrokeCoverage(d.strokes[1], x, y);
    for (int c = 0; c < kChannels; ++c) {
      const double b = d.background[c] + gradient;
      double v = b + (d.foreground[c] - b) * a;
      v += (d.strokes[0].colour[c] - v) * first;
      v += (d.strokes[1].colour[c] - v) * second;
      const int q = c * kPixels + p;
      v += 0.25 * (u(1000 + q) + u(2200 + q) - 1);
      // Truncation is the floor here: the number is at least 0.5.
      image[q] = static_cast<uint8_t>(std::clamp(v, 0.0, 1.0) * 255 + 0.5);
    }
  }
}

}  // namespace

Split DrawShapes(uint64_t seed, int64_t count) {
  Split split{.images = torch::empty({count, kChannels, kSize, kSize}, torch::kUInt8),
              .labels = torch::empty({count}, torch::kInt64)};
  uint8_t* images = split.images.mutable_data_ptr<uint8_t>();
  int64_t* labels = split.labels.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    labels[i] = i % kShapesClasses;
    DrawImage(Draws(seed, static_cast<uint64_t>(i)), labels[i], images + i * kChannels * kPixels);
  }
  return split;
}

Dataset LoadShapes(const DataOptions& options) {
  Dataset dataset;
  dataset.classes = kShapesClasses;
  dataset.train = DrawShapes(kShapesTrainSeed, std::min(kShapesTrain, options.train_limit.value_or(kShapesTrain)));
  dataset.test = DrawShapes(kShapesTestSeed, std::min(kShapesTest, options.test_limit.value_or(kShapesTest)));
  return dataset;
}

}  // namespace basin::data
