// The members of a finished population on the test images, one by one and together.
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "trainer/checkpoint/lost_members.h"
#include "trainer/evaluate.h"

namespace basin::trainer {

struct MemberScores {
  base::Json members = base::Json::array();  ///< result.json's `member`
  Score mean, ensemble;                      ///< the ensemble is the mean of the members' logits
  double disagreement = 0;                   ///< mean over pairs of the share of images on which their predictions differ
};

/// `ids`: member of each rank; `lost` are scored by every rank, in `scratch`. Collective.
MemberScores ScoreMembers(Member& member, std::span<const int64_t> ids, std::span<const LostNetwork> lost, const Bench& bench,
                          models::Classifier& scratch, comm::Communicator& comm);

}  // namespace basin::trainer
