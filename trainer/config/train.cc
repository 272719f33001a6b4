// The `train` section, common and of one member.
#include <algorithm>

#include "base/error.h"
#include "trainer/config/sections.h"

namespace basin::trainer {
namespace {

using Optimizer = OptimizerOptions::Kind;
using Schedule = ScheduleOptions::Kind;

const Names<Optimizer>& OptimizerNames() {
  static const Names<Optimizer> names{{Optimizer::kSgd, "sgd"}, {Optimizer::kAdam, "adam"}, {Optimizer::kAdamW, "adamw"}};
  return names;
}

const Names<Schedule>& ScheduleNames() {
  static const Names<Schedule> names{{Schedule::kConstant, "constant"},
                                     {Schedule::kCosine, "cosine"},
                                     {Schedule::kMultistep, "multistep"},
                                     {Schedule::kLinear, "linear"}};
  return names;
}

template <typename E>
std::string NameOf(E value, const Names<E>& names) {
  return std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == value; })->second;
}

/// The keys of every kind, for the message about a key of another one.
template <typename Options, typename E, typename VisitKeys>
std::vector<KindKeys> KeysOfAll(const Names<E>& names, const VisitKeys& visit) {
  std::vector<KindKeys> all;
  for (const auto& [kind, name] : names) {
    Options options{.kind = kind};
    all.push_back({name, Printer::Describe([&](Keys& keys) { visit(keys, options); }).keys});
  }
  return all;
}

void VisitOptimizerKeys(Keys& keys, OptimizerOptions& options) {
  keys.Number("lr", options.lr, kAtLeastZero);
  if (options.kind == Optimizer::kSgd) {
    keys.Number("momentum", options.momentum, kShareBelowOne);
    keys.Flag("nesterov", options.nesterov);
  } else {
    keys.Number("beta1", options.beta1, kShareBelowOne);
    keys.Number("beta2", options.beta2, kShareBelowOne);
    keys.Number("eps", options.eps, kPositive);
  }
  keys.Number("weight_decay", options.weight_decay, kAtLeastZero);
}

void VisitOptimizer(Keys& keys, OptimizerOptions& options) {
  const bool was_sgd = options.kind == Optimizer::kSgd;
  if (!keys.Choice("name", options.kind, OptimizerNames())) return keys.SkipRest();
  const bool is_sgd = options.kind == Optimizer::kSgd;
  // The usual rate of sgd is a hundred times too large for adam. Holds for an override of the name too.
  if (is_sgd != was_sgd) options.lr = is_sgd ? 0.1 : 0.001;
  VisitOptimizerKeys(keys, options);
  const bool nesterov = options.kind == Optimizer::kSgd && options.nesterov;
  keys.Require(!nesterov || options.momentum > 0, "nesterov", "true needs a momentum above 0");
  keys.OtherKinds(NameOf(options.kind, OptimizerNames()),
                  [] { return KeysOfAll<OptimizerOptions>(OptimizerNames(), VisitOptimizerKeys); });
}

void VisitScheduleKeys(Keys& keys, ScheduleOptions& options) {
  keys.Integer("warmup_steps", options.warmup_steps, kCountOrZero);
  if (options.kind == Schedule::kCosine || options.kind == Schedule::kLinear) {
    keys.Number("final_lr", options.final_lr, kAtLeastZero);
  }
  if (options.kind == Schedule::kMultistep) {
    keys.Numbers("milestones", options.milestones, kShare);
    keys.Number("gamma", options.gamma, kAtLeastZero);
  }
}

void VisitSchedule(Keys& keys, ScheduleOptions& options, double lr) {
  if (!keys.Choice("name", options.kind, ScheduleNames())) return keys.SkipRest();
  if (!keys.reading() && !options.final_lr) options.final_lr = std::min(1e-4, lr);
  VisitScheduleKeys(keys, options);
  keys.OtherKinds(NameOf(options.kind, ScheduleNames()),
                  [] { return KeysOfAll<ScheduleOptions>(ScheduleNames(), VisitScheduleKeys); });
}

bool IsFromSet(const Keys& keys, const std::string& key) {
  const Yaml* value = keys.At(key);
  return value != nullptr && value->from_set;
}

void VisitDuration(Keys& keys, TrainOptions& options) {
  if (keys.reading() || !options.steps) keys.Integer("epochs", options.epochs, kManyCount);
  if (keys.reading() || options.steps) keys.Integer("steps", options.steps, kManyCount);
  if (!keys.reading()) return;
  if (options.epochs && options.steps) {
    // --set train.steps=20 means to replace the file's epochs.
    const bool set_epochs = IsFromSet(keys, "epochs"), set_steps = IsFromSet(keys, "steps");
    keys.Require(set_epochs != set_steps, "steps", "epochs and steps are both given; leave one of them out");
    (set_steps ? options.epochs : options.steps).reset();
  }
  if (!options.epochs && !options.steps) options.epochs = 10;
}

}  // namespace

void VisitMemberTrain(Keys& keys, TrainOptions& options) {
  keys.Integer("batch_size", options.batch_size, kCount);
  keys.Group("optimizer", [&](Keys& group) { VisitOptimizer(group, options.optimizer); });
  keys.Group("schedule", [&](Keys& group) { VisitSchedule(group, options.schedule, options.optimizer.lr); });
  keys.Number("label_smoothing", options.label_smoothing, kShareBelowOne);
  keys.Choice("precision", options.precision, {{Precision::kFloat32, "float32"}, {Precision::kBfloat16, "bfloat16"}});
}

void VisitTrain(Keys& keys, TrainOptions& options) {
  VisitDuration(keys, options);
  VisitMemberTrain(keys, options);
}

}  // namespace basin::trainer
