// The `strategy` section: one function a strategy that names its keys.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "trainer/config/sections.h"

namespace basin::trainer {
namespace {

const Names<DepthLaw>& Laws() {
  static const Names<DepthLaw> names{{DepthLaw::kLinear, "linear"}, {DepthLaw::kConstant, "constant"}};
  return names;
}

const Names<Renorm>& Renorms() {
  static const Names<Renorm> names{{Renorm::kNone, "none"}, {Renorm::kReset, "reset"}, {Renorm::kRepair, "repair"}};
  return names;
}

void VisitAlign(Keys& keys, Align& align) { keys.Choice("align", align, {{Align::kNone, "none"}, {Align::kWeight, "weight"}}); }

void VisitEvery(Keys& keys, StepWindow& when) { keys.Integer("every_steps", when.every_steps, kManyCount); }

void VisitBudget(Keys& keys, Budget& budget) {
  keys.Quantity("bytes_per_rank", budget.bytes_per_rank, base::ParseBytes, base::BytesText);
  keys.Number("seconds", budget.seconds, kPositive);
  keys.Number("share", budget.share, kInnerShare);
  const int given = budget.bytes_per_rank.has_value() + budget.seconds.has_value() + budget.share.has_value();
  keys.Require(given == 1, "bytes_per_rank", Text(given, " limits are given; give one of bytes_per_rank: 50MB, seconds: 30, share: 0.05"));
  keys.Require(budget.bytes_per_rank != 0, "bytes_per_rank", "must be above 0; strategy {name: independent} sends nothing");
}

void VisitSpan(Keys& keys, StepWindow& when) {
  keys.Number("start", when.start, kShare);
  keys.Number("stop", when.stop, kShare);
  keys.Require(when.start <= when.stop, "stop", Text(when.stop, " is before start, ", when.start, "; it must not be"));
  VisitOptional(keys, "budget", when.budget, VisitBudget);
}

void VisitTravel(Keys& keys, const StepWindow& when, TravelOptions& options) {
  using comm::Payload;
  keys.Integer("delay_steps", options.delay_steps, {.low = 0, .high = 10});
  const bool by_clock = when.budget && !when.budget->bytes_per_rank;
  keys.Require(!by_clock || options.delay_steps == 0, "delay_steps",
               Text(options.delay_steps, " hides the seconds that a budget of seconds or share would count; give budget: {bytes_per_rank: ...}, or 0"));
  keys.Number("correction", options.correction, kShare);
  // The last name of a value is the one that is printed.
  keys.Choice("payload", options.payload,
              {{Payload::kFloat32, "float32"},
               {Payload::kBFloat16, "bfloat16"},
               {Payload::kFloat8E4M3, "float8"},
               {Payload::kFloat8E4M3, "float8_e4m3"},
               {Payload::kFloat8E5M2, "float8_e5m2"}});
}

void VisitKeys(Keys& keys, IndependentOptions& options) { keys.Number("ema", options.ema, kShareBelowOne); }

void VisitKeys(Keys& keys, WashOptions& options) {
  keys.Number("p", options.p, kShare);
  VisitEvery(keys, options.when);
  keys.Choice("law", options.law, Laws());
  keys.Choice("depth", options.depth,
              {{DepthUnit::kTensor, "tensor"}, {DepthUnit::kModule, "module"}, {DepthUnit::kParameters, "parameters"}});
  keys.Flag("optimizer_state", options.optimizer_state);
  VisitSpan(keys, options.when);
  keys.Choice("schedule", options.schedule,
              {{RateSchedule::kConstant, "constant"}, {RateSchedule::kLr, "lr"}, {RateSchedule::kCosine, "cosine"}});
  VisitTravel(keys, options.when, options.travel);
}

void VisitKeys(Keys& keys, PapaOptions& options) {
  keys.Number("alpha", options.alpha, kShare);
  VisitEvery(keys, options.when);
  keys.Flag("couple_lr", options.couple_lr);
  keys.Flag("buffers", options.buffers);
  VisitSpan(keys, options.when);
}

void VisitKeys(Keys& keys, PapaAllOptions& options) {
  keys.Integer("every_epochs", options.every_epochs, kCount);
  keys.Choice("renorm", options.renorm, Renorms());
  VisitAlign(keys, options.align);
}

void VisitKeys(Keys& keys, Papa2Options& options) {
  keys.Integer("every_epochs", options.every_epochs, kCount);
  keys.Choice("renorm", options.renorm, Renorms());
  VisitAlign(keys, options.align);
}

void VisitKeys(Keys& keys, DartOptions& options) {
  keys.Integer("from_epoch", options.from_epoch, kCountOrZero);
  keys.Integer("every_epochs", options.every_epochs, kCount);
  VisitAlign(keys, options.align);
}

void VisitKeys(Keys& keys, LocalSgdOptions& options) {
  VisitEvery(keys, options.when);
  keys.Integer("post_local_from", options.post_local_from, kCountOrZero);
  VisitAlign(keys, options.align);
  VisitSpan(keys, options.when);
  keys.Require(!options.when.budget || options.post_local_from == 0, "post_local_from",
               Text(options.post_local_from, " is not possible with a budget, which decides when there is an average; it must be 0"));
}

void VisitKeys(Keys& keys, DilocoOptions& options) {
  VisitEvery(keys, options.when);
  keys.Number("outer_lr", options.outer_lr, kAtLeastZero);
  keys.Number("outer_momentum", options.outer_momentum, kShareBelowOne);
  keys.Flag("nesterov", options.nesterov);
  VisitSpan(keys, options.when);
}

void VisitKeys(Keys& keys, SpartaOptions& options) {
  keys.Number("p", options.p, kShare);
  VisitEvery(keys, options.when);
  keys.Choice("law", options.law, Laws());
  VisitSpan(keys, options.when);
  VisitTravel(keys, options.when, options.travel);
}

void VisitKeys(Keys& keys, GossipOptions& options) {
  VisitEvery(keys, options.when);
  keys.Number("weight", options.weight, kShare);
  VisitSpan(keys, options.when);
}

template <size_t... kIndices>
std::vector<StrategyOptions> Defaults(std::index_sequence<kIndices...>) {
  return {StrategyOptions(std::in_place_index<kIndices>)...};
}

void VisitOwnKeys(Keys& keys, StrategyOptions& options) {
  std::visit([&](auto& own) { VisitKeys(keys, own); }, options);
}

std::vector<KindKeys> KeysOfAll() {
  std::vector<KindKeys> all;
  for (StrategyOptions& options : DefaultStrategies()) {
    const Yaml tree = Printer::Describe([&](Keys& keys) { VisitOwnKeys(keys, options); });
    all.push_back({std::string(StrategyName(options)), tree.keys});
  }
  return all;
}

}  // namespace

std::string_view StrategyName(const StrategyOptions& options) {
  // Same order as the variant.
  static constexpr std::string_view kNames[] = {"independent", "wash",      "papa",   "papa-all", "papa-2",
                                                "dart",        "local-sgd", "diloco", "sparta",   "gossip"};
  static_assert(std::size(kNames) == std::variant_size_v<StrategyOptions>);
  return kNames[options.index()];
}

std::vector<StrategyOptions> DefaultStrategies() { return Defaults(std::make_index_sequence<std::variant_size_v<StrategyOptions>>()); }

std::string StrategyText(const StrategyOptions& options) {
  StrategyOptions printed = options;
  return InlineYaml(Printer::Describe([&](Keys& keys) { VisitStrategy(keys, printed); }));
}

void VisitStrategy(Keys& keys, StrategyOptions& options) {
  const std::vector<StrategyOptions> defaults = DefaultStrategies();
  std::vector<std::string> names;
  for (const StrategyOptions& one : defaults) names.emplace_back(StrategyName(one));
  std::string name(StrategyName(options));
  if (!keys.Name("name", name, names)) return keys.SkipRest();
  if (name != StrategyName(options)) options = defaults[std::find(names.begin(), names.end(), name) - names.begin()];
  VisitOwnKeys(keys, options);
  keys.OtherKinds(name, KeysOfAll);
}

}  // namespace basin::trainer
