// The section `faults`: a list.
#include "base/error.h"
#include "trainer/config/sections.h"

namespace basin::trainer {
namespace {

void VisitFault(Keys& keys, FaultOptions& fault) {
  using Action = FaultOptions::Action;
  keys.Integer("member", fault.member, {.low = 0, .high = 4095});
  keys.Integer("step", fault.step, kCountOrZero);
  keys.Name("operation", fault.operation, FaultOperations());
  keys.Choice("action", fault.action, {{Action::kKill, "kill"}, {Action::kStop, "stop"}, {Action::kDelay, "delay"},
                                       {Action::kDrop, "drop"}, {Action::kFail, "fail"}, {Action::kCorrupt, "corrupt"}});
  keys.Number("seconds", fault.seconds, {.low = 0, .high = 86'400});
  keys.Require(fault.action != Action::kCorrupt || fault.operation == "checkpoint", "action",
               "corrupt changes a file of a checkpoint; it needs operation: checkpoint");
}

}  // namespace

void VisitFaults(Keys& keys, std::vector<FaultOptions>& faults) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    Section::ReadAs(node, path, problems, [&](Keys& item) { VisitFault(item, faults.emplace_back()); });
  };
  keys.List("faults", "[{member: 2, step: 40, action: kill}]", [&] { faults.clear(); }, read, [&] {
    std::vector<Yaml> items;
    for (FaultOptions fault : faults) items.push_back(Printer::Describe([&](Keys& item) { VisitFault(item, fault); }));
    return Yaml::List(std::move(items));
  });
}

}  // namespace basin::trainer
