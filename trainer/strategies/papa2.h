// PAPA-2 (arXiv 2304.03094): every few epochs each member becomes the mean of a random pair, mended
// by REPAIR.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/strategy.h"

namespace basin::trainer {

/// The two members that one becomes the mean of; low < high.
struct Parents {
  int64_t low = 0, high = 0;
  bool Has(int64_t member) const { return low == member || high == member; }
};
/// One entry a member, drawn independently and uniformly from all N (N - 1) / 2 pairs; the same on
/// every rank. N >= 2.
std::vector<Parents> DrawParents(uint64_t run_seed, int64_t epoch, int members);

class Papa2 final : public Strategy {
 public:
  Papa2(const Papa2Options& options, const RunShape& shape);
  void AfterEpoch(const EpochInfo& epoch, MemberState& member,
                  comm::CountingCommunicator& comm) override;
  Forecast Predict() const override;

 private:
  /// The messages of each merge when every vector has so many bytes.
  std::vector<std::vector<comm::Round>> Courses(double bytes) const;

  const Papa2Options options_;
  const RunShape shape_;
  torch::Tensor packed_;
};

}  // namespace basin::trainer
