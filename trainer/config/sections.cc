// All sections in order; the small ones are described here.
#include "trainer/config/sections.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/units.h"
#include "coordinator/address.h"
#include "models/torchscript.h"

namespace basin::trainer {
void RequireFolderName(Keys& keys, const std::string& name, std::string_view takes_a_path) {
  const bool is_folder_name = name != "." && name != ".." && name.find('/') == std::string::npos;
  keys.Require(is_folder_name, "name", Text("'", name, "' is not a name for a folder; leave '/' out (", takes_a_path, " takes a path)"));
}

namespace {

void VisitRun(Keys& keys, RunConfig& config) {
  keys.String("name", config.name);
  RequireFolderName(keys, config.name, "run.dir");
  std::string dir = keys.reading() ? "runs/" + config.name : config.dir.string();
  keys.String("dir", dir);
  config.dir = dir;
  auto seed = static_cast<int64_t>(config.seed);
  keys.Integer("seed", seed, kCountOrZero);
  config.seed = static_cast<uint64_t>(seed);
}

void VisitPopulation(Keys& keys, Draft& draft) {
  PopulationOptions& options = draft.config.population;
  keys.Integer("members", options.members, kSmallCount);
  keys.Choice("init", options.init, {{Init::kSame, "same"}, {Init::kDifferent, "different"}});
  keys.Integer("threads_per_member", options.threads_per_member, kSmallCount);
  keys.Choice("device", options.device,
              {{DeviceChoice::kAuto, "auto"}, {DeviceChoice::kCpu, "cpu"}, {DeviceChoice::kCuda, "cuda"}});
  keys.Value("overrides", [&](const Yaml& value, const std::string&, Problems&) { draft.overrides = value; },
             [&] { return PrintOverrides(draft.config); });
}

void VisitLink(Keys& keys, comm::Link& link) {
  keys.Quantity("latency", link.latency, base::ParseDuration, base::DurationText);
  const bool is_sound = keys.Quantity("bandwidth", link.bytes_per_second, base::ParseRate, base::RateText);
  keys.Require(!is_sound || std::isfinite(link.bytes_per_second), "bandwidth", "is needed: a rate such as 100Mbps or 10MB/s");
}

void VisitComm(Keys& keys, comm::CommOptions& options) {
  using comm::Backend;
  keys.Choice("backend", options.backend,
              {{Backend::kAuto, "auto"}, {Backend::kInProcess, "in_process"}, {Backend::kMpi, "mpi"}, {Backend::kNccl, "nccl"}});
  keys.Seconds("timeout_s", options.timeout);
  VisitOptional(keys, "emulate", options.emulate, VisitLink);
}

void VisitEvaluate(Keys& keys, EvaluateOptions& options) {
  keys.Integer("every_epochs", options.every_epochs, kCountOrZero);
  keys.Integer("batch_size", options.batch_size, kManyCount);
  keys.Integer("recalibrate_batches", options.recalibrate_batches, kManyCount);
}

/// The splits of a curve: a list of names as two truth values.
void VisitSplits(Keys& keys, LmcOptions& options) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    const std::string allowed = "; write a list of train, test (for no curves: pairs: none)";
    options.train = options.test = false;
    if (!node.IsList() || node.items.empty()) {
      problems.Add(node.where, path, (node.IsList() ? "an empty list" : node.Found()) + " is not allowed" + allowed);
      return;
    }
    for (const Yaml& item : node.items) {
      bool* split = item.text == "train" ? &options.train : item.text == "test" ? &options.test : nullptr;
      if (split == nullptr) problems.Add(item.where, path, item.Found() + " is not known" + allowed);
      if (split != nullptr && *split) problems.Add(item.where, path, item.text + " is given twice");
      if (split != nullptr) *split = true;
    }
  };
  keys.Value("splits", read, [&] {
    std::vector<Yaml> names;
    if (options.train) names.push_back(Yaml::String("train"));
    if (options.test) names.push_back(Yaml::String("test"));
    return Yaml::List(std::move(names));
  });
}

void VisitLmc(Keys& keys, LmcOptions& options) {
  using Pairs = LmcOptions::Pairs;
  keys.Integer("points", options.points, {.low = 2, .high = 10'001});
  keys.Choice("pairs", options.pairs, {{Pairs::kAll, "all"}, {Pairs::kFirst, "first"}, {Pairs::kNone, "none"}});
  VisitSplits(keys, options);
  keys.Integer("train_limit", options.train_limit, kCount);
}

void VisitCheckpoint(Keys& keys, CheckpointOptions& options) {
  keys.Integer("every_steps", options.every_steps, kCountOrZero);
  keys.Integer("keep", options.keep, kCount);
}

bool IsAddress(const std::string& text) {
  if (text == "embedded" || text == "none") return true;
  try {
    return coordinator::ParseAddress(text, "coordinator.address").port > 0;
  } catch (const ConfigError&) {
    return false;
  }
}

void VisitTls(Keys& keys, coordinator::Tls& tls) {
  keys.String("cert", tls.cert);
  keys.String("key", tls.key);
  keys.String("ca", tls.ca);
  keys.Require(!tls.cert.empty() && !tls.key.empty() && !tls.ca.empty(), "cert",
               "and key and ca are needed together: three files in PEM form");
}

void VisitCoordinator(Keys& keys, CoordinatorOptions& options) {
  keys.String("address", options.address);
  keys.Require(IsAddress(options.address), "address",
               Text("'", options.address, "' is not an address; allowed: embedded, none, or HOST:PORT of a basin-coordinator"));
  keys.Seconds("heartbeat_s", options.heartbeat);
  keys.Seconds("timeout_s", options.timeout);
  keys.Require(options.heartbeat < options.timeout, "timeout_s", "must be longer than heartbeat_s");
  using coordinator::OnLoss;
  keys.Choice("on_loss", options.on_loss, {{OnLoss::kAbort, "abort"}, {OnLoss::kContinue, "continue"}});
  keys.Require(options.on_loss == OnLoss::kAbort || options.address != "none", "on_loss",
               "continue needs a coordinator, and coordinator.address is none");
  keys.Flag("finish_with_lost", options.finish_with_lost);
  VisitOptional(keys, "tls", options.tls, VisitTls);
  keys.Require(!options.tls || (options.address != "embedded" && options.address != "none"), "tls",
               "needs coordinator.address: HOST:PORT of a basin-coordinator; an embedded one listens on the loopback alone");
}

void VisitReport(Keys& keys, ReportOptions& options) {
  using Progress = ReportOptions::Progress;
  keys.Flag("tensorboard", options.tensorboard);
  keys.Flag("html", options.html);
  keys.Flag("trace", options.trace);
  keys.Choice("progress", options.progress, {{Progress::kAuto, "auto"}, {Progress::kOn, "on"}, {Progress::kOff, "off"}});
}

/// A TorchScript network is a closed box that brings its weights: what draws them or looks into layers is refused before training.
void CheckReachOfModel(Keys& model, const RunConfig& config) {
  model.Require(config.model.name != models::kTorchScript || config.population.init == Init::kSame, "name",
                "torchscript brings one set of weights, so members cannot start from different ones; leave population.init at same");
}

void CheckReachOfStrategy(Keys& strategy, const RunConfig& config) {
  if (config.model.name != models::kTorchScript) return;
  const auto check = [&](const auto& options) {
    if constexpr (requires { options.align; })
      strategy.Require(options.align == Align::kNone, "align", "the units of a torchscript model are not known; allowed: none");
    if constexpr (requires { options.renorm; })
      strategy.Require(options.renorm != Renorm::kRepair, "renorm", "repair corrects layers, which a torchscript model hides; allowed: none, reset");
  };
  std::visit(check, config.strategy);
}

}  // namespace

void VisitConfig(Keys& keys, Draft& draft) {
  RunConfig& config = draft.config;
  keys.Group("run", [&](Keys& group) { VisitRun(group, config); });
  keys.Group("population", [&](Keys& group) { VisitPopulation(group, draft); });
  keys.Group("data", [&](Keys& group) { VisitData(group, config); });
  keys.Group("model", [&](Keys& group) {
    VisitModel(group, config.model);
    CheckReachOfModel(group, config);
  });
  keys.Group("train", [&](Keys& group) { VisitTrain(group, config.train); });
  keys.Group("strategy", [&](Keys& group) {
    VisitStrategy(group, config.strategy);
    CheckReachOfStrategy(group, config);
  });
  keys.Group("comm", [&](Keys& group) { VisitComm(group, config.comm); });
  keys.Group("evaluate", [&](Keys& group) { VisitEvaluate(group, config.evaluate); });
  keys.Group("lmc", [&](Keys& group) { VisitLmc(group, config.lmc); });
  keys.Group("checkpoint", [&](Keys& group) { VisitCheckpoint(group, config.checkpoint); });
  keys.Group("coordinator", [&](Keys& group) { VisitCoordinator(group, config.coordinator); });
  keys.Group("report", [&](Keys& group) { VisitReport(group, config.report); });
  VisitFaults(keys, config.faults);
}

}  // namespace basin::trainer
