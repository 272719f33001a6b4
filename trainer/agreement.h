// What several ranks must know alike: each other's problems, told once, and texts.
#pragma once

#include <functional>

#include "comm/communicator.h"

namespace basin::trainer {

/// Runs `step` on every rank. When it failed anywhere, all ranks throw: a rank that failed its own failure, the others that of the
/// first failed rank, with its kind (ConfigError, DataError, ...) and "rank r: " in front. Collective.
void OnAllRanks(comm::Communicator& comm, const std::function<void()>& step);

/// Replaces `text` by root's. Collective.
void BroadcastText(comm::Communicator& comm, std::string& text, int root);

/// Exit code of a failure (docs/errors.md), and its text with the kind in front ("config: ...").
int ExitCode(const std::exception& failure);
std::string Describe(const std::exception& failure);

}  // namespace basin::trainer
