// From the common section to each member's own: the draw from the pool, then the override.
#include <algorithm>

#include "base/error.h"
#include "trainer/config/sections.h"
#include "trainer/optimizer.h"

namespace basin::trainer {
namespace {

/// Puts one draw into a member's options. A pool without values for label smoothing leaves train.label_smoothing alone.
void ApplyDraw(const data::AugmentPool& pool, uint64_t seed, int member, MemberOptions& own) {
  const data::PoolDraw draw = data::DrawFromPool(pool, seed, member);
  if (draw.random_erasing > 0) own.augment.push_back(data::RandomErasing{.p = draw.random_erasing});
  if (draw.mixup > 0) own.augment.push_back(data::Mixup{.alpha = draw.mixup});
  if (draw.cutmix > 0) own.augment.push_back(data::CutMix{.alpha = draw.cutmix});
  if (!pool.label_smoothing.empty()) own.train.label_smoothing = draw.label_smoothing;
}

void VisitOverride(Keys& keys, MemberOptions& own) {
  keys.Group("train", [&](Keys& train) {
    for (const char* key : {"epochs", "steps"}) {
      train.Foreign(key, Text("all members train equally long; set train.", key, " for all"));
    }
    VisitMemberTrain(train, own.train);
  });
  keys.Group("data", [&](Keys& data) { VisitAugment(data, own.augment); });
}

void ReadOverride(const Yaml& node, const std::string& path, RunConfig& config, Problems& problems) {
  const auto visit = [&](Keys& keys) {
    std::optional<int64_t> member;
    const bool fine = keys.Integer("member", member, kCountOrZero);
    keys.Require(!fine || member.has_value(), "member", "an override must say whose it is: member: 0");
    const bool exists = member && *member < config.population.members;
    keys.Require(!fine || !member || exists, "member",
                 Text("member ", member.value_or(0), " does not exist; members are 0 to ", config.population.members - 1));
    const bool twice = exists && std::count(config.overridden.begin(), config.overridden.end(), *member) > 0;
    keys.Require(!twice, "member", Text("member ", member.value_or(0), " is overridden twice; join the two"));
    MemberOptions nobody;
    VisitOverride(keys, fine && exists ? config.members[*member] : nobody);
    if (fine && exists && !twice) config.overridden.push_back(static_cast<int>(*member));
  };
  Section::ReadAs(node, path, problems, visit);
}

/// Adam divides by the root of its second moment. Float8 would round the small ones to 0, and the step that follows would be without bound.
void CheckMomentsFit(comm::Payload payload, const RunConfig& config, Problems& problems) {
  if (comm::BytesOf(payload) > 1) return;
  for (size_t m = 0; m < config.members.size(); ++m) {
    if (config.members[m].train.optimizer.kind == OptimizerOptions::Kind::kSgd) continue;
    problems.Add(config.origin, "strategy.payload",
                 Text("float8 has too little range for the second moment of member ", m, "'s optimizer, which strategy.optimizer_state "
                      "sends; take payload: bfloat16, optimizer_state: false, or sgd"));
    return;
  }
}

/// WASH+Opt sends a weight's moments to the next member, which must keep as many.
void CheckMoments(const Yaml& overrides, const RunConfig& config, Problems& problems) {
  const auto* wash = std::get_if<WashOptions>(&config.strategy);
  if (wash == nullptr || !wash->optimizer_state) return;
  CheckMomentsFit(wash->travel.payload, config, problems);
  const int first = NumMoments(config.members[0].train.optimizer);
  for (size_t m = 1; m < config.members.size(); ++m) {
    const int own = NumMoments(config.members[m].train.optimizer);
    if (own == first) continue;
    problems.Add(overrides.where, "population.overrides",
                 Text("the optimizer of member ", m, " keeps ", own, " moments a weight, that of member 0 ", first,
                      "; strategy.optimizer_state sends them along, so all members need as many"));
  }
}

}  // namespace

void ResolveMembers(const Yaml& overrides, RunConfig& config, Problems& problems) {
  const std::string path = "population.overrides";
  config.members.assign(config.population.members, {config.train, config.augment});
  if (config.augment_pool) {
    for (int m = 0; m < config.population.members; ++m) ApplyDraw(*config.augment_pool, config.seed, m, config.members[m]);
  }
  if (!overrides.IsNull() && !overrides.IsList()) {
    problems.Add(overrides.where, path, overrides.Found() + " is not a list; write [{member: 2, train: {...}}, ...]");
    return;
  }
  for (size_t i = 0; i < overrides.items.size(); ++i) {
    ReadOverride(overrides.items[i], Text(path, "[", i, "]"), config, problems);
  }
  std::sort(config.overridden.begin(), config.overridden.end());
  CheckMoments(overrides, config, problems);
}

Yaml PrintOverrides(const RunConfig& config) {
  std::vector<Yaml> items;
  for (int m : config.overridden) {
    MemberOptions own = config.members.at(m);
    items.push_back(Printer::Describe([&](Keys& keys) {
      keys.Integer("member", m, kCountOrZero);
      VisitOverride(keys, own);
    }));
  }
  return Yaml::List(std::move(items));
}

}  // namespace basin::trainer
