// Runs a program as a user would and keeps what it said.
#pragma once

#include <string>
#include <vector>

namespace basin::test {

struct CommandResult {
  int exit_code = -1;  ///< 128 + signal when a signal ended it
  std::string out, err;
};

struct CommandOptions {
  std::vector<std::string> environment{};  ///< extra NAME=VALUE
  double deadline_s = 120;                 ///< then SIGKILL to its process group; exit_code 137
  int signal_when_seen = 0;                ///< sent to the program once `seen` appears on standard error
  std::string seen{};
};

/// Absolute path of a built program, e.g. "basin".
std::string Program(const std::string& name);
CommandResult RunCommand(const std::vector<std::string>& words, const CommandOptions& options = {});
/// mpirun with what a test machine needs, then `words`.
CommandResult RunUnderMpi(int ranks, const std::vector<std::string>& words, const CommandOptions& options = {});

}  // namespace basin::test
