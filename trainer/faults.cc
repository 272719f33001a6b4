#include "trainer/faults.h"

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/log.h"

namespace basin::trainer {
namespace {

using Action = FaultOptions::Action;

void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// In the middle, where a safetensors file has its data.
void FlipOneBit(const std::filesystem::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(file) / 2);
  stream.seekg(middle);
  const int byte = stream.get();
  stream.seekp(middle);
  stream.put(static_cast<char>(byte ^ 1));
}

}  // namespace

const std::vector<std::string>& FaultOperations() {
  static const std::vector<std::string> operations{"step", "exchange", "evaluation", "checkpoint", "finish", "connectivity"};
  return operations;
}

Faults::Faults(const std::vector<FaultOptions>& all, int64_t member) {
  for (const FaultOptions& fault : all) {
    if (fault.member == member) mine_.push_back({fault});
  }
}

void Faults::Do(const FaultOptions& fault) const {
  const std::string where = Text("member ", fault.member, ", step ", fault.step, ", ", fault.operation);
  base::LogWarning(Text("fault on purpose: ", where));
  switch (fault.action) {
    case Action::kKill: std::raise(SIGKILL); break;
    case Action::kStop: std::raise(SIGSTOP); break;
    case Action::kDelay: Sleep(fault.seconds); break;
    case Action::kDrop:
      if (mute_) mute_(fault.seconds);
      Sleep(fault.seconds);  // what is not sent yet is as good as lost
      break;
    case Action::kFail: throw DataError("fault on purpose: " + where);
    case Action::kCorrupt: break;  // waits for its file
  }
}

void Faults::Strike(std::string_view operation, int64_t step) {
  for (Own& own : mine_) {
    const FaultOptions& fault = own.fault;
    if (fault.operation != operation || fault.action == Action::kCorrupt || own.struck) continue;
    if (fault.step != step && operation != "finish" && operation != "connectivity") continue;
    own.struck = true;
    Do(fault);
  }
}

void Faults::Spoil(const std::filesystem::path& file, int64_t step) {
  for (Own& own : mine_) {
    if (own.fault.action != Action::kCorrupt || own.fault.step != step || own.struck) continue;
    own.struck = true;
    base::LogWarning(Text("fault on purpose: one bit of ", file.string(), " is wrong now"));
    FlipOneBit(file);
  }
}

}  // namespace basin::trainer
