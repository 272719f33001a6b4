// Faults on purpose, from the configuration: for tests, demonstrations, and to see what a cluster does when a member dies.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace basin::trainer {

/// One thing that goes wrong, once.
struct FaultOptions {
  enum class Action {
    kKill,     ///< SIGKILL to the own process
    kStop,     ///< SIGSTOP
    kDelay,    ///< `seconds` of sleep
    kDrop,     ///< for `seconds` nothing that the member sends arrives: no heartbeat, no message of an exchange
    kFail,     ///< a DataError
    kCorrupt,  ///< one bit of the own file changes after it was written; checkpoint only
  };
  int member = 0;
  int64_t step = 0;  ///< of the training, from 0; of a checkpoint: that of its folder; finish and connectivity: any
  std::string operation = "exchange";
  Action action = Action::kKill;
  double seconds = 1;
};

/// The values of FaultOptions::operation, as `basin status` shows them.
const std::vector<std::string>& FaultOperations();

/// Those of one member. Each operation belongs to one thread at a time.
class Faults {
 public:
  Faults(const std::vector<FaultOptions>& all, int64_t member);
  /// What keeps the heartbeats of kDrop back, for so many seconds. Without: there are none.
  void SetMute(std::function<void(double seconds)> mute) { mute_ = std::move(mute); }
  /// To be called at the start of an operation; does what is asked for there. Under a microsecond when nothing is.
  void Strike(std::string_view operation, int64_t step);
  /// To be called with a file of the checkpoint of `step` that has just been written.
  void Spoil(const std::filesystem::path& file, int64_t step);

 private:
  struct Own {
    FaultOptions fault;
    bool struck = false;  // touched by the thread of its operation alone
  };
  void Do(const FaultOptions& fault) const;

  std::vector<Own> mine_;
  std::function<void(double)> mute_;
};

}  // namespace basin::trainer
