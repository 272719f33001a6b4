// What a slow network does to messages, as arithmetic: used to predict (basin plan) and to imitate (comm/emulated.h).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace basin::comm {

/// Every rank hangs on a switch by a line of its own: full duplex, both directions equally wide, nothing else between.
///
/// A rank's messages leave one after another at `bytes_per_second`. A message begins to arrive `latency` after it began to leave, and
/// a rank takes in `bytes_per_second` at most, what comes first first. So m messages at once to different ranks cost one latency, and
/// what depends on an answer costs another.
struct Link {
  double latency = 0;                                                 ///< seconds, >= 0
  double bytes_per_second = std::numeric_limits<double>::infinity();  ///< > 0
  bool operator==(const Link&) const = default;
};

/// "1Gbps,50us": rate and latency in any order. ConfigError that says what is wrong.
Link ParseLink(std::string_view text);
std::string LinkText(const Link& link);  ///< "1Gbps,50us"

/// One message of a round.
struct Message {
  int from = 0, to = 0;
  double bytes = 0;
};
/// Messages that wait for nothing but their senders; those of one sender leave in this order.
using Round = std::vector<Message>;

/// One message as its receiver sees it.
struct Arrival {
  double leaves = 0;  ///< when its first byte leaves the sender, seconds of a clock that all ranks share
  double bytes = 0;
};
/// When all of them have come in over a line that is free from `line_free` on; that moment itself for none.
double TakenIn(const Link& link, double line_free, std::vector<Arrival> arrivals);

/// When each rank has sent and received its messages of the round: starts[r] is when rank r begins. A rank with none ends at once.
std::vector<double> RoundEnds(const Link& link, std::span<const double> starts, const Round& round);
/// One round after another; a rank begins the next when it has ended its own.
std::vector<double> RoundsEnd(const Link& link, std::vector<double> starts, std::span<const Round> rounds);

/// AllReduceSum of n elements as the backends do it: on the CPU shards to their owners, then the sums to all (communicator.h); with
/// `ring` (nccl) 2 (size - 1) rounds of n / size elements to the next rank.
std::vector<Round> AllReduceRounds(int size, int64_t n, double element_bytes, bool ring = false);
/// Everybody sends everybody else so many bytes: AllGather, and Barrier with 0.
std::vector<Round> AllGatherRounds(int size, double bytes);
/// The tree of Broadcast from `root`, one round for each depth.
std::vector<Round> BroadcastRounds(int size, int root, double bytes);

}  // namespace basin::comm
