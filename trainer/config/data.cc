// The `data` and `model` sections.
#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"
#include "data/registry.h"
#include "models/registry.h"
#include "models/torchscript.h"
#include "trainer/config/sections.h"

namespace basin::trainer {
namespace {

constexpr Range kErasedShare{.low = 0, .high = 1, .low_open = true, .high_open = true};

// Same order as the variant data::Augmentation.
constexpr const char* kAugmentations[] = {"flip", "crop", "random_erasing", "mixup", "cutmix"};

void VisitKeys(Keys& keys, data::Flip& options) { keys.Number("p", options.p, kShare); }
void VisitKeys(Keys& keys, data::Crop& options) { keys.Integer("pad", options.pad, {.low = 0, .high = 1024}); }
void VisitKeys(Keys& keys, data::Mixup& options) { keys.Number("alpha", options.alpha, kAtLeastZero); }
void VisitKeys(Keys& keys, data::CutMix& options) { keys.Number("alpha", options.alpha, kAtLeastZero); }
void VisitKeys(Keys& keys, data::RandomErasing& options) {
  keys.Number("p", options.p, kShare);
  keys.Number("area_min", options.area_min, kErasedShare);
  keys.Number("area_max", options.area_max, kErasedShare);
  keys.Require(options.area_min <= options.area_max, "area_max", "is below area_min");
  keys.Number("aspect_min", options.aspect_min, kPositive);
  keys.Number("aspect_max", options.aspect_max, kPositive);
  keys.Require(options.aspect_min <= options.aspect_max, "aspect_max", "is below aspect_min");
}

void VisitKeys(Keys& keys, data::Augmentation& augmentation) {
  std::visit([&](auto& own) { VisitKeys(keys, own); }, augmentation);
}

/// `flip`, or a section with one key: `crop: {pad: 4}`.
void ReadAugmentation(const Yaml& item, const std::string& path, Problems& problems, data::Augmentations& out) {
  static const data::Augmentations kDefaults{data::Flip{}, data::Crop{}, data::RandomErasing{}, data::Mixup{}, data::CutMix{}};
  if (!item.IsScalar() && !(item.IsMap() && item.items.size() == 1)) {
    problems.Add(item.where, path, item.Found() + " is not an augmentation; write a name, or a name with its keys: {crop: {pad: 4}}");
    return;
  }
  const std::string& name = item.IsScalar() ? item.text : item.keys[0];
  const std::vector<std::string> names(std::begin(kAugmentations), std::end(kAugmentations));
  const size_t index = std::find(names.begin(), names.end(), name) - names.begin();
  if (index == names.size()) {
    const std::string nearest = base::NearestName(name, names);
    problems.Add(item.where, path, Text("'", name, "' is not known", nearest.empty() ? "" : " (did you mean '" + nearest + "'?)",
                                        "; allowed: ", base::JoinNames(names)));
    return;
  }
  for (const data::Augmentation& other : out) {
    if (other.index() == index) problems.Add(item.where, path, name + " is given twice");
  }
  data::Augmentation augmentation = kDefaults[index];
  if (item.IsMap()) {
    Section::ReadAs(item.items[0], path + "." + name, problems, [&](Keys& keys) { VisitKeys(keys, augmentation); });
  }
  out.push_back(augmentation);
}

Yaml PrintAugmentations(const data::Augmentations& augment) {
  std::vector<Yaml> items;
  for (data::Augmentation augmentation : augment) {
    Yaml item;
    item.Set(kAugmentations[augmentation.index()], Printer::Describe([&](Keys& keys) { VisitKeys(keys, augmentation); }));
    items.push_back(std::move(item));
  }
  return Yaml::List(std::move(items));
}

void VisitPool(Keys& keys, data::AugmentPool& pool) {
  keys.Numbers("mixup", pool.mixup, kAtLeastZero);
  keys.Numbers("label_smoothing", pool.label_smoothing, kShareBelowOne);
  keys.Numbers("cutmix", pool.cutmix, kAtLeastZero);
  keys.Numbers("random_erasing", pool.random_erasing, kShare);
}

void VisitNormalisation(Keys& keys, data::Normalisation& options) {
  keys.Numbers("mean", options.mean, {});
  keys.Numbers("std", options.std, kPositive);
  keys.Require(!options.mean.empty() && options.mean.size() == options.std.size(), "std",
               Text(options.std.size(), " values for ", options.mean.size(), " of mean; both need one for each channel"));
}

/// The pool appends to the common list, so a kind may be in one of them only.
void CheckPool(Keys& keys, const RunConfig& config) {
  if (!config.augment_pool) return;
  const auto check = [&](const std::vector<double>& values, const data::Augmentation& kind) {
    const bool drawn = std::any_of(values.begin(), values.end(), [](double value) { return value > 0; });
    const bool common = std::any_of(config.augment.begin(), config.augment.end(),
                                    [&](const data::Augmentation& other) { return other.index() == kind.index(); });
    keys.Require(!drawn || !common, "augment_pool", Text("draws ", kAugmentations[kind.index()], ", which augment has already"));
  };
  check(config.augment_pool->mixup, data::Mixup{});
  check(config.augment_pool->cutmix, data::CutMix{});
  check(config.augment_pool->random_erasing, data::RandomErasing{});
}

void VisitPath(Keys& keys, data::DataOptions& options) {
  std::string path = options.path.string();
  if (keys.reading()) {
    if (keys.At("path") == nullptr || keys.At("path")->IsNull()) {
      keys.Value("path", [](const Yaml&, const std::string&, Problems&) {}, {});
    } else {
      keys.String("path", path);
    }
    options.path = path;
    keys.Require(!path.empty() || !data::NeedsPath(options.name), "path",
                 Text("data set ", options.name, " is read from files; name their folder"));
  } else {
    keys.Value("path", {}, [&] { return path.empty() ? Yaml{} : Yaml::String(std::filesystem::absolute(path).string()); });
  }
}

void VisitScriptPath(Keys& keys, models::ModelOptions& options) {
  std::string path = options.path.string();
  if (!keys.reading()) path = std::filesystem::absolute(path).string();
  keys.String("path", path);
  if (!keys.reading()) return;
  options.path = path;
  keys.Require(!path.empty(), "path", "torchscript is read from a file; name it (torch.jit.save writes one)");
}

}  // namespace

void VisitAugment(Keys& keys, data::Augmentations& augment) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    ReadAugmentation(node, path, problems, augment);
  };
  keys.List("augment", "[flip, {crop: {pad: 4}}]", [&] { augment.clear(); }, read, [&] { return PrintAugmentations(augment); });
}

void VisitData(Keys& keys, RunConfig& config) {
  data::DataOptions& options = config.data;
  const bool known = keys.Name("name", options.name, data::DatasetNames());
  if (!known) options.name = "shapes";  // needs no path, so no second complaint
  VisitPath(keys, options);
  keys.Integer("train_limit", options.train_limit, kCount);
  keys.Integer("test_limit", options.test_limit, kCount);
  keys.Number("validation", options.validation, kShareBelowOne);
  VisitOptional(keys, "normalize", options.normalise, VisitNormalisation);
  VisitAugment(keys, config.augment);
  VisitOptional(keys, "augment_pool", config.augment_pool, VisitPool);
  CheckPool(keys, config);
}

void VisitModel(Keys& keys, models::ModelOptions& options) {
  using models::Norm;
  const std::string mlp = "mlp", script = models::kTorchScript;
  if (!keys.Name("name", options.name, models::ModelNames())) return keys.SkipRest();
  if (options.name == script) {
    VisitScriptPath(keys, options);
  } else {
    keys.Number("width", options.width, {.low = 0, .high = 64, .low_open = true});
    keys.Choice("norm", options.norm, {{Norm::kBatch, "batch"}, {Norm::kLayer, "layer"}, {Norm::kNone, "none"}});
  }
  if (options.name == mlp) {
    if (options.hidden.empty()) options.hidden = {512, 512, 512};
    keys.Integers("hidden", options.hidden, kCount);
    keys.Require(!options.hidden.empty(), "hidden", "is empty; at least one hidden layer is needed");
  }
  keys.OtherKinds(options.name, [&] {
    std::vector<KindKeys> kinds{{mlp, {"hidden"}}, {script, {"path"}}};
    for (const std::string& name : models::ModelNames()) {
      if (name != script) kinds.push_back({name, {"width", "norm"}});
    }
    return kinds;
  });
}

}  // namespace basin::trainer
