#include "trainer/laboratory/pictures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "report/plot.h"

namespace basin::trainer {
namespace {

using report::Series;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kSpectra = 4;  // layers whose spectra are drawn; more lines cannot be told apart

double Value(const base::Json& entry, const std::string& key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_number() ? found->get<double>() : kMissing;
}

std::vector<double> Counting(size_t n) {
  std::vector<double> values;
  for (size_t k = 1; k <= n; ++k) values.push_back(static_cast<double>(k));
  return values;
}

std::vector<double> Column(const base::Json& entries, const std::string& key) {
  std::vector<double> column;
  for (const base::Json& entry : entries) column.push_back(Value(entry, key));
  return column;
}

/// A line for each of `measure`_a, _b, _merged, _mended that is there.
std::vector<Series> OfSubjects(const base::Json& entries, const std::string& measure, const std::vector<std::string>& subjects) {
  std::vector<Series> series;
  for (const std::string& subject : subjects) {
    const std::string key = measure + '_' + subject;
    if (entries.empty() || !entries[0].contains(key)) continue;
    series.push_back({subject, Counting(entries.size()), Column(entries, key), /*dashed=*/subject == "b"});
  }
  return series;
}

std::vector<Picture> OfSingular(const base::Json& json) {
  const base::Json& layers = json["layers"];
  std::vector<Series> spectra;
  const size_t shown = std::min(kSpectra, layers.size());
  for (size_t k = 0; k < shown; ++k) {
    const base::Json& layer = layers[shown > 1 ? k * (layers.size() - 1) / (shown - 1) : 0];
    for (const char* side : {"a", "b"}) {
      const auto values = layer[std::string("values_") + side].get<std::vector<double>>();
      spectra.push_back({layer["name"].get<std::string>() + ' ' + side, Counting(values.size()), values, /*dashed=*/*side == 'b', static_cast<int>(k)});
    }
  }
  std::vector<report::Bar> bars;
  for (const base::Json& layer : layers) {
    for (const base::Json& r : layer["r"]) {
      bars.push_back({layer["name"].get<std::string>(), Text("gamma ", r["gamma"].get<double>()), r["value"].get<double>(), 0});
    }
  }
  return {{"singular.svg", report::LinePlot({"Singular values of A and B", "index", "singular value"}, spectra, /*log_y=*/true)},
          {"alignment.svg", report::BarPlot({"Alignment R of singular vectors, layer by layer", "", "R"}, bars)}};
}

std::vector<Picture> OfCollapse(const base::Json& json) {
  const base::Json &layers = json["layers"], &relus = json["relus"];
  const std::vector<std::string> all{"a", "b", "merged", "mended"}, merges{"merged", "mended"};
  return {{"variance_ratio.svg", report::LinePlot({"Variance of the midpoint over its parents'", "layer", "ratio"}, OfSubjects(layers, "variance_ratio", merges))},
          {"feature_ratio.svg", report::LinePlot({"Feature of the midpoint over its parents'", "layer", "ratio"}, OfSubjects(layers, "feature_ratio", merges))},
          {"activations.svg", report::LinePlot({"Mean activation after each ReLU", "ReLU", "mean"}, OfSubjects(relus, "magnitude", all), /*log_y=*/true)},
          {"sparsity.svg", report::LinePlot({"Share of zeros after each ReLU", "ReLU", "share"}, OfSubjects(relus, "sparsity", all))}};
}

std::vector<Picture> OfTaylor(const base::Json& json) {
  const auto along = Column(json["points"], "lambda");
  return {{"taylor.svg", report::LinePlot({"Barrier on the line, and what Taylor's expansion predicts", "lambda", "nats"},
                                          {{"true", along, Column(json["points"], "barrier")}, {"estimate", along, Column(json["points"], "estimate"), true}})}};
}

std::vector<Picture> OfPlane(const base::Json& json) {
  const base::Json& points = json["points"];
  report::FilledGrid grid{.left = Value(points.front(), "x"), .right = Value(points.back(), "x"), .bottom = Value(points.front(), "y"),
                          .top = Value(points.back(), "y"), .columns = json["grid"], .rows = json["grid"]};
  double worst_corner = 0;
  for (size_t k = 0; k < 3; ++k) {
    const base::Json& corner = json["corners"][k];
    grid.markers.push_back({std::string(1, static_cast<char>('A' + k)), Value(corner, "x"), Value(corner, "y")});
    worst_corner = std::max(worst_corner, Value(corner, "loss"));
  }
  std::vector<Picture> pictures;
  grid.values = Column(points, "accuracy");
  pictures.push_back({"plane_accuracy.svg", report::GridPlot({"Test accuracy on the plane through A, B and C", "distance", "distance"}, grid)});
  grid.values = Column(points, "loss");
  // Far from the corners the loss grows without bound, and would leave one colour for all that matters.
  grid.clip = worst_corner + 2.3;
  grid.unit = "nats";
  pictures.push_back({"plane_loss.svg", report::GridPlot({"Test loss on the plane through A, B and C", "distance", "distance"}, grid)});
  return pictures;
}

/// One number a point for every curve of a pair.
std::string CurvePlot(const std::vector<const PairCurve*>& curves, const std::string& title, const std::string& y, double merge::PathPoint::*field) {
  std::vector<Series> series;
  for (const PairCurve* curve : curves) {
    // A colour a split; the network as it is dashed beside the mended one.
    Series line{.name = curve->split + ", " + curve->renorm, .dashed = curve->renorm == "none", .colour = curve->split == "train" ? 0 : 1};
    for (const merge::PathPoint& point : curve->points) {
      line.x.push_back(point.lambda);
      line.y.push_back(point.*field);
    }
    series.push_back(std::move(line));
  }
  return report::LinePlot({title, "lambda", y}, series);
}

std::vector<std::string> Renorms(const std::vector<PairCurve>& curves) {
  std::vector<std::string> renorms;
  for (const PairCurve& curve : curves) {
    if (std::find(renorms.begin(), renorms.end(), curve.renorm) == renorms.end()) renorms.push_back(curve.renorm);
  }
  return renorms;
}

Picture BarrierTable(const std::vector<PairCurve>& curves, const std::vector<std::string>& names, const std::string& renorm) {
  const size_t n = names.size();
  report::HeatMap map{names, names, std::vector<double>(n * n, kMissing)};
  std::string split = "train";
  for (const PairCurve& curve : curves) {
    if (curve.split == "test") split = "test";
  }
  for (const PairCurve& curve : curves) {
    if (curve.renorm != renorm || curve.split != split) continue;
    const auto a = static_cast<size_t>(curve.a), b = static_cast<size_t>(curve.b);
    map.values[a * n + b] = map.values[b * n + a] = curve.barriers.linear;
  }
  return {"barriers_" + renorm + ".svg", report::HeatPlot({"Barrier B2 of the " + split + " loss, nats (" + renorm + ")", "", ""}, map)};
}

}  // namespace

void WritePictures(const std::filesystem::path& folder, const std::vector<Picture>& pictures) {
  for (const Picture& picture : pictures) base::WriteFileAtomically(folder / picture.name, picture.svg);
}

std::vector<Picture> PicturesOf(const std::vector<PairCurve>& curves, const std::vector<std::string>& names) {
  std::vector<Picture> pictures;
  for (size_t first = 0; first < curves.size();) {
    std::vector<const PairCurve*> of_pair;
    const int64_t a = curves[first].a, b = curves[first].b;
    for (; first < curves.size() && curves[first].a == a && curves[first].b == b; ++first) of_pair.push_back(&curves[first]);
    const std::string pair = Text(a, "-", b), title = Text(" between ", names.at(static_cast<size_t>(a)), " and ", names.at(static_cast<size_t>(b)));
    pictures.push_back({"loss_" + pair + ".svg", CurvePlot(of_pair, "Loss" + title, "nats", &merge::PathPoint::loss)});
    pictures.push_back({"accuracy_" + pair + ".svg", CurvePlot(of_pair, "Accuracy" + title, "accuracy", &merge::PathPoint::accuracy)});
  }
  if (names.size() > 2) {
    for (const std::string& renorm : Renorms(curves)) pictures.push_back(BarrierTable(curves, names, renorm));
  }
  return pictures;
}

std::vector<Picture> PicturesOf(const AnalysisPart& part) {
  if (part.name == "singular") return OfSingular(part.json);
  if (part.name == "collapse") return OfCollapse(part.json);
  if (part.name == "taylor") return OfTaylor(part.json);
  if (part.name == "plane") return OfPlane(part.json);
  return {};
}

}  // namespace basin::trainer
