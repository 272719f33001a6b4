#include "trainer/sweep/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "trainer/config/sections.h"
#include "trainer/sweep/names.h"

namespace basin::trainer {
namespace {

constexpr int kMostRuns = 10'000;
constexpr const char* kBudgetKey = "strategy.budget.bytes_per_rank";
constexpr double kControlEma = 0.999;  // of the last thousand steps or so
const std::vector<std::string> kControls{"independent", "one-long-run", "ema"};

/// One key and the values it takes.
struct Dimension {
  std::string key;
  std::vector<Yaml> values;
};

/// The file as it stands.
struct SweepFile {
  std::string name;
  Yaml base{};
  std::string origin{};            // of the base
  std::filesystem::path folder{};  // that the base's paths are relative to
  std::vector<Dimension> set{};    // one value each
  std::vector<Dimension> grid{};
  std::vector<int64_t> seeds{};
  std::vector<std::string> controls{};
};

std::string ReadText(const std::filesystem::path& file, const std::string& what) {
  try {
    return base::ReadFile(file);
  } catch (const DataError& failure) {
    throw ConfigError(Text(what, " cannot be read: ", failure.what()));
  }
}

/// Values that replace what the base says, as --set does.
Yaml AsReplacement(Yaml value) {
  value.from_set = true;
  for (Yaml& item : value.items) item = AsReplacement(std::move(item));
  return value;
}

bool IsAtOrBelow(const std::string& key, const std::string& above) { return key == above || key.starts_with(above + "."); }

bool IsOfStrategy(const std::string& key) { return IsAtOrBelow(key, "strategy"); }

/// Keys that the sweep sets itself.
void CheckKey(const std::string& key, const std::string& where, Problems& problems) {
  if (!IsDottedKey(key)) problems.Add(where, key, "is no dotted key; write e.g. train.optimizer.lr");
  for (const char* taken : {"run", "run.name", "run.dir"}) {
    if (key == taken) problems.Add(where, key, "the sweep sets it itself, for each run");
  }
  if (key == "run.seed") problems.Add(where, key, "write seeds: [1, 2, 3] beside grid: instead");
}

void ReadBase(const Yaml& node, const std::filesystem::path& file, SweepFile& sweep, Problems& problems) {
  sweep.origin = file.string();
  sweep.folder = file.parent_path();
  sweep.base = node;
  if (node.IsMap()) return;
  if (!node.IsScalar()) {
    problems.Add(node.where, "base", node.Found() + " is no configuration; write the name of a file, or its sections");
    return;
  }
  const std::filesystem::path path = file.parent_path() / node.text;
  sweep.origin = path.string();
  sweep.folder = path.parent_path();
  sweep.base = ParseYaml(ReadText(path, node.where + ": base: the configuration"), path.string(), problems);
  if (!sweep.base.IsMap())
    problems.Add(path.string(), "", sweep.base.Found() + " is not a configuration; sections are expected: run, data, ...");
}

/// {KEY: VALUE, ...}; `as_list`: each value is a list of values.
void ReadDimensions(const Yaml& node, const std::string& path, bool as_list, std::vector<Dimension>& dimensions, Problems& problems) {
  if (!node.IsMap() && !node.IsNull()) {
    problems.Add(node.where, path,
                 Text(node.Found(), " is not a section; write {train.optimizer.lr: ", as_list ? "[0.1, 0.2]" : "0.1", "}"));
    return;
  }
  for (size_t k = 0; k < node.keys.size(); ++k) {
    const Yaml& value = node.items[k];
    CheckKey(node.keys[k], value.where, problems);
    if (as_list && (!value.IsList() || value.items.empty())) {
      problems.Add(value.where, path + "." + node.keys[k],
                   (value.IsList() ? "an empty list" : value.Found()) + " is not allowed; write a list of values");
      continue;
    }
    Dimension dimension{.key = node.keys[k]};
    for (const Yaml& item : as_list ? value.items : std::vector<Yaml>{value}) dimension.values.push_back(AsReplacement(item));
    dimensions.push_back(std::move(dimension));
  }
}

void ReadBudgets(const Yaml& node, const std::string& path, SweepFile& sweep, Problems& problems) {
  Yaml section;
  section.Set(kBudgetKey, node);
  ReadDimensions(section, path, /*as_list=*/true, sweep.grid, problems);
}

void ReadControls(const Yaml& node, const std::string& path, SweepFile& sweep, Problems& problems) {
  if (!node.IsList() && !node.IsNull()) problems.Add(node.where, path, node.Found() + " is not a list; write [independent, one-long-run, ema]");
  for (const Yaml& item : node.items) {
    // One name is a section of one key, so the reader of names says what is allowed.
    Yaml named;
    named.Set("controls", item);
    std::string name;
    Section::ReadAs(named, "", problems, [&](Keys& keys) { keys.Name("controls", name, kControls); });
    if (std::ranges::count(sweep.controls, name) > 0) problems.Add(item.where, path, name + " is given twice");
    if (!name.empty()) sweep.controls.push_back(name);
  }
}

SweepFile ReadFileOf(const std::filesystem::path& file, Problems& problems) {
  const Yaml root = ParseYaml(ReadText(file, "the sweep"), file.string(), problems);
  problems.ThrowIfAny();
  if (!root.IsMap())
    throw ConfigError(Text(file.string(), ": ", root.Found(), " is no sweep; expected are base, grid, seeds, ... (docs/sweep.md)"));
  SweepFile sweep{.name = file.stem().string()};
  Section::ReadAs(root, "", problems, [&](Keys& keys) {
    keys.String("name", sweep.name);
    RequireFolderName(keys, sweep.name, "--out");
    keys.Value("base", [&](const Yaml& node, const std::string&, Problems& all) { ReadBase(node, file, sweep, all); }, {});
    keys.Require(keys.At("base") != nullptr, "base", "is missing: the configuration that the runs start from, a file or sections");
    keys.Value("set", [&](const Yaml& node, const std::string& path, Problems& all) { ReadDimensions(node, path, false, sweep.set, all); },
               {});
    keys.Value("grid", [&](const Yaml& node, const std::string& path, Problems& all) { ReadDimensions(node, path, true, sweep.grid, all); },
               {});
    keys.Integers("seeds", sweep.seeds, kCountOrZero);
    keys.Require(std::set(sweep.seeds.begin(), sweep.seeds.end()).size() == sweep.seeds.size(), "seeds", "holds a seed twice");
    keys.Value("budgets", [&](const Yaml& node, const std::string& path, Problems& all) { ReadBudgets(node, path, sweep, all); }, {});
    keys.Value("controls", [&](const Yaml& node, const std::string& path, Problems& all) { ReadControls(node, path, sweep, all); }, {});
  });
  return sweep;
}

/// The base with `set` and --set laid over.
void LayOverBase(SweepFile& sweep, const std::vector<std::string>& overrides, Problems& problems) {
  for (Dimension& one : sweep.set) LayOver(sweep.base, one.key, one.values.front(), problems);
  for (const std::string& assignment : overrides) {
    const std::string key = assignment.substr(0, assignment.find('='));
    CheckKey(key, "--set " + assignment, problems);
    for (const Dimension& dimension : sweep.grid) {
      if (IsAtOrBelow(key, dimension.key))
        problems.Add("--set " + assignment, key, "the sweep's grid sets " + dimension.key + ", so this would have no effect");
    }
    LayOver(sweep.base, assignment, problems);
  }
}

/// All combinations, the first dimension slowest: for each, the number of the value in each dimension.
std::vector<std::vector<size_t>> Combinations(const std::vector<Dimension>& grid) {
  std::vector<std::vector<size_t>> all{{}};
  for (const Dimension& dimension : grid) {
    std::vector<std::vector<size_t>> longer;
    for (const auto& start : all) {
      for (size_t k = 0; k < dimension.values.size(); ++k) {
        longer.push_back(start);
        longer.back().push_back(k);
      }
    }
    all = std::move(longer);
  }
  return all;
}

void KeepOneMember(RunConfig& config) {
  config.population.members = 1;
  config.members.resize(1);
  std::erase_if(config.overridden, [](int member) { return member > 0; });
}

/// One member alone that ends as the moving average of its weights.
void MakeMovingAverage(RunConfig& config) {
  KeepOneMember(config);
  config.strategy = IndependentOptions{.ema = kControlEma};
}

/// One member alone, as many steps as all members together, with the schedule stretched to fit.
void MakeOneLongRun(RunConfig& config) {
  const int64_t times = config.population.members;
  const auto stretch = [&](TrainOptions& train) {
    if (train.epochs) *train.epochs *= times;
    if (train.steps) *train.steps *= times;
    train.schedule.warmup_steps *= times;
  };
  KeepOneMember(config);
  stretch(config.train);
  stretch(config.members[0].train);
  config.evaluate.every_epochs *= times;
}

/// Turns the file into cells and runs.
class Planner {
 public:
  Planner(const SweepFile& sweep, Problems& problems) : sweep_(sweep), problems_(problems), plan_{.name = sweep.name} {}

  SweepPlan Make() {
    double count = static_cast<double>(SeedCount());
    for (const Dimension& dimension : sweep_.grid) count *= static_cast<double>(dimension.values.size());
    if (count > kMostRuns) throw ConfigError(Text(sweep_.name, ": the grid has ", count, " runs, more than ", kMostRuns));
    for (const auto& choice : Combinations(sweep_.grid)) AddCell(sweep_.grid, choice, "");
    std::vector<Dimension> rest = sweep_.grid;
    std::erase_if(rest, [](const Dimension& dimension) { return IsOfStrategy(dimension.key); });
    for (const std::string& control : sweep_.controls) {
      for (const auto& choice : Combinations(rest)) AddCell(rest, choice, control);
    }
    problems_.ThrowIfAny();
    std::vector<SweepRun> runs;  // by seed, then by cell
    for (size_t s = 0; s < SeedCount(); ++s) {
      for (size_t k = s; k < plan_.runs.size(); k += SeedCount()) runs.push_back(std::move(plan_.runs[k]));
    }
    plan_.runs = std::move(runs);
    return std::move(plan_);
  }

 private:
  size_t SeedCount() const { return std::max<size_t>(sweep_.seeds.size(), 1); }

  void AddCell(const std::vector<Dimension>& grid, const std::vector<size_t>& choice, const std::string& control) {
    SweepCell cell{.is_control = !control.empty()};
    std::vector<std::string> parts;
    if (cell.is_control) parts.push_back("control-" + control);
    for (size_t d = 0; d < grid.size(); ++d) {
      const Yaml& value = grid[d].values[choice[d]];
      cell.values.emplace_back(grid[d].key, InlineYaml(value));
      parts.push_back(grid[d].key == kBudgetKey ? value.text : NamePart(grid[d].key, value));
      if (!IsOfStrategy(grid[d].key)) cell.group += Text(grid[d].key, "=", InlineYaml(value), " ");
    }
    cell.name = UniqueName(parts);
    const Yaml root = Tree(grid, choice, cell.is_control);
    plan_.cells.push_back(cell);
    for (size_t s = 0; s < SeedCount(); ++s) AddRun(root, control, s);
  }

  std::string UniqueName(const std::vector<std::string>& parts) {
    const std::string name = FolderName(parts);
    const int uses = ++uses_[name];
    return uses == 1 ? name : Text(name, "-", uses);
  }

  Yaml Tree(const std::vector<Dimension>& grid, const std::vector<size_t>& choice, bool is_control) {
    Yaml root = sweep_.base;
    if (is_control) {
      Yaml strategy{.from_set = true};
      strategy.Set("name", Yaml::Plain("independent"));
      root.Set("strategy", strategy);
    }
    // A section comes before keys in it.
    std::vector<size_t> order;
    for (size_t d = 0; d < grid.size(); ++d) order.push_back(d);
    std::ranges::stable_sort(order, {}, [&](size_t d) { return std::ranges::count(grid[d].key, '.'); });
    for (const size_t d : order) LayOver(root, grid[d].key, grid[d].values[choice[d]], problems_);
    return root;
  }

  void AddRun(Yaml root, const std::string& control, size_t s) {
    const SweepCell& cell = plan_.cells.back();
    Problems problems;
    try {
      if (!sweep_.seeds.empty()) LayOver(root, "run.seed", Yaml::Plain(std::to_string(sweep_.seeds[s])), problems);
      RunConfig config = ReadConfigTree(root, sweep_.origin, sweep_.folder, problems);
      if (control == "one-long-run") MakeOneLongRun(config);
      if (control == "ema") MakeMovingAverage(config);
      config.name = cell.name;
      RefuseTwin(config, cell);
      const std::string name = Text(cell.name, "/seed-", config.seed);
      plan_.runs.push_back({.cell = plan_.cells.size() - 1, .name = name, .config = std::move(config)});
    } catch (const ConfigError& failure) {
      if (told_.insert(failure.what()).second) problems_.Add(cell.name, "", failure.what());
      plan_.runs.emplace_back();
    }
  }

  void RefuseTwin(const RunConfig& config, const SweepCell& cell) {
    const auto [twin, is_new] = cell_of_.try_emplace(ConfigHash(config), cell.name);
    if (!is_new) throw ConfigError("is the same setting as " + twin->second);
  }

  const SweepFile& sweep_;
  Problems& problems_;
  SweepPlan plan_;
  std::map<std::string, int> uses_;
  std::map<std::string, std::string> cell_of_;  // by the hash of its configuration
  std::set<std::string> told_;                  // problems, once for all seeds
};

}  // namespace

SweepPlan ReadSweep(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Problems problems;
  SweepFile sweep = ReadFileOf(file, problems);
  LayOverBase(sweep, overrides, problems);
  problems.ThrowIfAny();
  return Planner(sweep, problems).Make();
}

}  // namespace basin::trainer
