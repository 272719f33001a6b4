#include "coordinator/types.h"

#include "base/error.h"

namespace basin::coordinator {

std::string_view Name(Phase phase) {
  switch (phase) {
    case Phase::kStartUp: return "start-up";
    case Phase::kTraining: return "training";
    case Phase::kEvaluation: return "evaluation";
    case Phase::kCheckpoint: return "checkpoint";
    case Phase::kFinish: return "finish";
  }
  throw CheckFailed("a phase without a name");
}

std::string_view Name(OnLoss on_loss) { return on_loss == OnLoss::kAbort ? "abort" : "continue"; }

OnLoss ParseOnLoss(std::string_view name) {
  if (name == "abort") return OnLoss::kAbort;
  if (name == "continue") return OnLoss::kContinue;
  throw ConfigError(Text("on_loss is '", name, "'; allowed: abort, continue"));
}

std::string MemberWeightsName(int member) {
  const std::string number = std::to_string(member);
  return "members/" + std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number + ".safetensors";
}

std::string Listed(const std::vector<int>& ids) {
  constexpr size_t kShown = 10;
  std::string text;
  for (size_t i = 0; i < ids.size() && i < kShown; ++i) text += (i == 0 ? "" : ", ") + std::to_string(ids[i]);
  if (ids.size() > kShown) text += Text(" ... (", ids.size(), " in all)");
  return text;
}

}  // namespace basin::coordinator
