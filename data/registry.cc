#include "data/registry.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/nearest.h"
#include "data/cifar.h"
#include "data/idx.h"
#include "data/shapes.h"
#include "data/tensors.h"

namespace basin::data {
namespace {

struct Source {
  std::string name;
  bool needs_path;
  /// Train and test, checked; validation and normalisation when the files bring their own.
  Dataset (*load)(const DataOptions& options);
  /// Published constants of the complete training set; empty: measured.
  Normalisation constants;
  /// As published; no training examples: whatever the files hold.
  struct {
    int64_t train = 0, test = 0, channels = 0, pixels = 0, classes = 0;
  } size{};
};

const std::vector<Source>& Sources() {
  static const std::vector<Source> kSources = {
      {"shapes", false, LoadShapes, {{.3456, .3463, .3472}, {.2369, .2373, .2370}},
       {kShapesTrain, kShapesTest, 3, kShapesSize, kShapesClasses}},
      {"mnist", true, LoadMnist, {{.1307}, {.3081}}, {60'000, 10'000, 1, 28, 10}},
      {"fashion-mnist", true, LoadFashionMnist, {{.2860}, {.3530}}, {60'000, 10'000, 1, 28, 10}},
      {"cifar10", true, LoadCifar10, {{.4914, .4822, .4465}, {.2470, .2435, .2616}},
       {50'000, 10'000, 3, 32, 10}},
      {"cifar100", true, LoadCifar100, {{.5071, .4865, .4409}, {.2673, .2564, .2762}},
       {50'000, 10'000, 3, 32, 100}},
      {"tensors", true, LoadTensors, {}},
  };
  return kSources;
}

const Source& FindSource(const std::string& name) {
  for (const Source& source : Sources()) {
    if (source.name == name) return source;
  }
  const std::vector<std::string> names = DatasetNames();
  const std::string nearest = base::NearestName(name, names);
  throw ConfigError(Text("data.name is '", name, "'; allowed: ", base::JoinNames(names),
                         nearest.empty() ? "" : Text(". Did you mean '", nearest, "'?")));
}

void CheckLimit(const char* key, const std::optional<int64_t>& limit) {
  if (limit && *limit < 1) {
    throw ConfigError(Text(key, " is ", *limit, "; it must be at least 1, or null for all examples"));
  }
}

/// A copy, so that the memory of the rest is given back.
void Limit(Split& split, const std::optional<int64_t>& limit) {
  if (!limit || *limit >= split.size()) return;
  split = {.images = split.images.narrow(0, 0, *limit).clone(), .labels = split.labels.narrow(0, 0, *limit).clone()};
}

void CheckNormalise(const Normalisation& given, int64_t channels) {
  const auto count = static_cast<size_t>(channels);
  if (given.mean.size() != count || given.std.size() != count) {
    throw ConfigError(Text("data.normalize has ", given.mean.size(), " means and ", given.std.size(),
                           " deviations; the images have ", channels, " channels, so it needs ", channels, " of each"));
  }
  for (size_t c = 0; c < count; ++c) {
    if (!std::isfinite(given.mean[c]) || !std::isfinite(given.std[c]) || given.std[c] <= 0) {
      throw ConfigError(Text("data.normalize has mean ", given.mean[c], " and std ", given.std[c], " for channel ", c,
                             "; the mean must be finite, the std finite and above 0"));
    }
  }
}

Normalisation ChooseNormalisation(const DataOptions& options, const Source& source, const Dataset& dataset) {
  if (options.normalise) {
    CheckNormalise(*options.normalise, dataset.channels());
    return *options.normalise;
  }
  if (!dataset.normalisation.mean.empty()) return dataset.normalisation;
  if (!source.constants.mean.empty()) return source.constants;
  return MeasureNormalisation(dataset.train);
}

void CheckSameShape(const Dataset& dataset, const std::filesystem::path& path) {
  const auto train = dataset.train.images.sizes().slice(1), test = dataset.test.images.sizes().slice(1);
  if (train == test) return;
  throw DataError(Text(path.string(), ": training images are ", train, " (channels, height, width), test images ", test,
                       "; they must agree: the files belong to different data sets"));
}

}  // namespace

std::vector<std::string> DatasetNames() {
  std::vector<std::string> names;
  for (const Source& source : Sources()) names.push_back(source.name);
  return names;
}

bool NeedsPath(const std::string& name) { return FindSource(name).needs_path; }

DatasetOutline OutlineDataset(const DataOptions& options) {
  const Source& source = FindSource(options.name);
  const bool has_files = source.needs_path && std::filesystem::exists(options.path);
  if (has_files || source.size.train == 0) return {.dataset = LoadDataset(options)};
  CheckLimit("data.train_limit", options.train_limit);
  CheckLimit("data.test_limit", options.test_limit);
  const auto split = [&](int64_t examples) {  // memory that nobody touches costs nothing
    const auto& size = source.size;
    return Split{.images = torch::empty({examples, size.channels, size.pixels, size.pixels}, torch::kUInt8),
                 .labels = torch::empty({examples}, torch::kInt64)};
  };
  const int64_t train = std::min(source.size.train, options.train_limit.value_or(source.size.train));
  const int64_t held_out = HeldOut(train, options.validation);
  auto dataset = std::make_shared<Dataset>();
  dataset->name = source.name;
  dataset->classes = source.size.classes;
  dataset->train = split(train - held_out);
  dataset->validation = split(held_out);
  dataset->test = split(std::min(source.size.test, options.test_limit.value_or(source.size.test)));
  dataset->normalisation = options.normalise.value_or(source.constants);
  return {.dataset = std::move(dataset), .as_published = source.needs_path};
}

std::shared_ptr<const Dataset> LoadDataset(const DataOptions& options) {
  const Source& source = FindSource(options.name);
  CheckLimit("data.train_limit", options.train_limit);
  CheckLimit("data.test_limit", options.test_limit);
  if (source.needs_path && options.path.empty()) {
    throw ConfigError(Text("data.path is missing; the data set ", source.name,
                           " is read from files: give their folder"));
  }
  auto dataset = std::make_shared<Dataset>(source.load(options));
  dataset->name = source.name;
  CheckSameShape(*dataset, options.path);
  Limit(dataset->train, options.train_limit);
  Limit(dataset->test, options.test_limit);
  // Before the split, which depends on the seed: networks of two runs must see the same pixels to be averaged.
  dataset->normalisation = ChooseNormalisation(options, source, *dataset);
  if (dataset->validation.size() == 0) SplitValidation(*dataset, options.validation, options.seed);
  return dataset;
}

}  // namespace basin::data
