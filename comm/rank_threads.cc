#include "comm/rank_threads.h"

#include <exception>
#include <thread>
#include <vector>

namespace basin::comm {

void RunRankThreads(InProcessGroup& group, std::pair<int, int> ranks, FirstRank first, const MakeRank& make,
                    const std::function<void(Communicator&)>& body) {
  const auto [begin, end] = ranks;
  std::vector<std::exception_ptr> failures(end - begin);
  const auto guarded = [&, begin = begin](int rank) {
    const std::unique_ptr<Communicator> communicator = make(rank);  // stays until the group knows why it ends
    try {
      body(*communicator);
    } catch (const std::exception& error) {
      failures[rank - begin] = std::current_exception();
      group.Abort(rank, error.what());
    } catch (...) {
      failures[rank - begin] = std::current_exception();
      group.Abort(rank, "an exception without a message");
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int rank = begin; rank < end; ++rank) {
      if (rank > begin || first == FirstRank::kOnAThreadOfItsOwn) threads.emplace_back(guarded, rank);
    }
    if (first == FirstRank::kOnThisThread && begin < end) guarded(begin);
  }
  const int failed = group.failed_rank();
  if (failed >= 0 && failures[failed - begin]) std::rethrow_exception(failures[failed - begin]);
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace basin::comm
