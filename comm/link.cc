#include "comm/link.h"

#include <algorithm>

#include "base/error.h"
#include "base/units.h"
#include "comm/communicator.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

/// The messages of one round from everybody to everybody else, the next rank first, as the backends send them.
template <typename Bytes>
Round ToAllOthers(int size, const Bytes& bytes) {
  Round round;
  for (int from = 0; from < size; ++from) {
    for (int step = 1; step < size; ++step) {
      const int to = (from + step) % size;
      if (const std::optional<double> size_of = bytes(from, to)) round.push_back({from, to, *size_of});
    }
  }
  return round;
}

int64_t Shard(int64_t n, int size, int rank) {
  const auto [begin, end] = ShardBounds(n, size, rank);
  return end - begin;
}

}  // namespace

Link ParseLink(std::string_view text) {
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos || text.find(',', comma + 1) != std::string_view::npos) {
    throw ConfigError(Text("'", text, "' is not a link: write its rate and its latency, such as 1Gbps,50us"));
  }
  std::string_view one = text.substr(0, comma), other = text.substr(comma + 1);
  while (other.starts_with(' ')) other.remove_prefix(1);
  const auto is_rate = [](std::string_view part) { return part.ends_with("ps") || part.ends_with("/s"); };
  if (!is_rate(one) && is_rate(other)) std::swap(one, other);
  return {.latency = base::ParseDuration(other), .bytes_per_second = base::ParseRate(one)};
}

std::string LinkText(const Link& link) { return Text(base::RateText(link.bytes_per_second), ",", base::DurationText(link.latency)); }

double TakenIn(const Link& link, double line_free, std::vector<Arrival> arrivals) {
  std::ranges::stable_sort(arrivals, {}, &Arrival::leaves);
  for (const Arrival& message : arrivals) {
    line_free = std::max(line_free, message.leaves + link.latency) + message.bytes / link.bytes_per_second;
  }
  return line_free;
}

std::vector<double> RoundEnds(const Link& link, std::span<const double> starts, const Round& round) {
  std::vector<double> sent(starts.begin(), starts.end());
  std::vector<std::vector<Arrival>> arrivals(starts.size());
  for (const Message& message : round) {
    arrivals.at(message.to).push_back({.leaves = sent.at(message.from), .bytes = message.bytes});
    sent[message.from] += message.bytes / link.bytes_per_second;
  }
  std::vector<double> ends;
  for (size_t r = 0; r < starts.size(); ++r) {
    // What comes while the rank is still away waits for it, taken in already.
    const double taken_in = TakenIn(link, -std::numeric_limits<double>::infinity(), std::move(arrivals[r]));
    ends.push_back(std::max({starts[r], sent[r], taken_in}));
  }
  return ends;
}

std::vector<double> RoundsEnd(const Link& link, std::vector<double> starts, std::span<const Round> rounds) {
  for (const Round& round : rounds) starts = RoundEnds(link, starts, round);
  return starts;
}

std::vector<Round> AllReduceRounds(int size, int64_t n, double element_bytes, bool ring) {
  std::vector<Round> rounds;
  if (size == 1 || n == 0) return rounds;
  if (ring) {
    Round round;
    for (int from = 0; from < size; ++from) round.push_back({from, (from + 1) % size, static_cast<double>(n) * element_bytes / size});
    return std::vector<Round>(2 * (size - 1), round);
  }
  const auto shard_bytes = [&](int owner) -> std::optional<double> {
    const int64_t shard = Shard(n, size, owner);
    return shard > 0 ? std::optional(static_cast<double>(shard) * element_bytes) : std::nullopt;
  };
  rounds.push_back(ToAllOthers(size, [&](int, int to) { return shard_bytes(to); }));
  rounds.push_back(ToAllOthers(size, [&](int from, int) { return shard_bytes(from); }));
  return rounds;
}

std::vector<Round> AllGatherRounds(int size, double bytes) {
  if (size == 1) return {};
  return {ToAllOthers(size, [&](int, int) { return std::optional(bytes); })};
}

std::vector<Round> BroadcastRounds(int size, int root, double bytes) {
  std::vector<Round> rounds;
  std::vector<int> level{root};
  while (!level.empty()) {
    std::vector<int> next;
    Round round;
    for (int parent : level) {
      for (int child : BroadcastPlace({.rank = parent, .size = size}, root).children) {
        round.push_back({parent, child, bytes});
        next.push_back(child);
      }
    }
    if (!round.empty()) rounds.push_back(std::move(round));
    level = std::move(next);
  }
  return rounds;
}

}  // namespace basin::comm
