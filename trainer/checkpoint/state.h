// What one rank must remember to go on to the same bits, out of and into its living parts.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "comm/counting.h"
#include "models/state_dict.h"
#include "trainer/checkpoint/files.h"
#include "trainer/loop.h"
#include "trainer/member.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// A rank's tensors by their names in the file, sharing storage with the living ones: weights [P], buffer.<name> (integer counters
/// included), moment.0, moment.1 [P], strategy.<name>.
models::StateDict LiveTensors(Member& member, Strategy& strategy);
/// The same and, last, what the strategy has in flight: all that a checkpoint holds.
models::StateDict CheckpointTensors(Member& member, Strategy& strategy);

/// A copy of a rank's tensors on the CPU, in memory that is kept from one checkpoint to the next.
class Snapshot {
 public:
  /// Allocates and touches the memory, so that the first Take is no slower than the others.
  void Reserve(const models::StateDict& live);
  /// One memory copy (GPU: waits for it); what is new or has another size gets its memory first. Nobody may be in Write.
  void Take(const models::StateDict& live);
  /// The tensors as Take saw them, back into `live`, which has the same names.
  void PutBack(models::StateDict& live) const;
  /// Any thread, while Take is not called.
  base::FileDigest Write(const std::filesystem::path& path) const;

 private:
  models::StateDict copies_;
};

/// Everything that is no tensor. `elapsed`: seconds of the run so far, earlier parts included.
base::Json RankFacts(const RunConfig& config, Member& member, Strategy& strategy, const comm::Ledger& ledger,
                     const LoopState& loop, double elapsed);

struct RestoredRank {
  LoopState loop;
  double elapsed = 0;
};
/// Puts the state of member.id() from `folder` into the parts, which are as at the start of a run (Strategy::Begin done).
/// DataError that names file and tensor when something does not fit.
/// What was in flight is dropped where members have been lost since or before: the group is another one.
enum class FlightsOfCheckpoint { kRestore, kDrop };
RestoredRank RestoreRank(const std::filesystem::path& folder, Member& member, Strategy& strategy, comm::CountingCommunicator& counting,
                         FlightsOfCheckpoint flights = FlightsOfCheckpoint::kRestore);
/// The weights and buffers of member.id() alone, into a member on the CPU. DataError as RestoreRank.
void RestoreNetwork(const std::filesystem::path& folder, Member& member);

}  // namespace basin::trainer
