#include "trainer/strategies/dense.h"

#include <algorithm>

#include "base/error.h"

namespace basin::trainer {
namespace {

/// Calls visit(own tensor, its part of packed in the same shape) for the weights and, when carried,
/// each statistic.
template <typename Visit>
void ForEachPart(const torch::Tensor& packed, Carry carry, const MemberState& member,
                 Visit&& visit) {
  int64_t offset = 0;
  const auto next = [&](torch::Tensor& own) {
    visit(own, packed.narrow(0, offset, own.numel()).view(own.sizes()));
    offset += own.numel();
  };
  next(member.weights);
  if (carry == Carry::kState) {
    for (torch::Tensor& statistic : member.statistics) next(statistic);
  }
  BASIN_CHECK(offset == packed.numel(), "a packed vector of ", packed.numel(),
              " elements met a member of ", offset);
}

int64_t NumCarried(const MemberState& member, Carry carry) {
  int64_t elements = member.weights.numel();
  if (carry == Carry::kState) {
    for (const torch::Tensor& statistic : member.statistics) elements += statistic.numel();
  }
  return elements;
}

}  // namespace

int64_t NumCarried(const RunShape& shape, Carry carry) {
  return shape.num_parameters + (carry == Carry::kState ? shape.num_statistics : 0);
}

void Pack(const MemberState& member, Carry carry, torch::Tensor& packed) {
  torch::NoGradGuard no_grad;
  if (!packed.defined())
    packed = torch::empty({NumCarried(member, carry)}, member.weights.options());
  ForEachPart(packed, carry, member,
              [](torch::Tensor& own, torch::Tensor part) { part.copy_(own); });
}

void Unpack(const torch::Tensor& packed, Carry carry, MemberState& member) {
  torch::NoGradGuard no_grad;
  ForEachPart(packed, carry, member,
              [](torch::Tensor& own, const torch::Tensor& part) { own.copy_(part); });
}

void PullTo(const torch::Tensor& packed, double pull, Carry carry, MemberState& member) {
  if (pull == 0) return;  // -0 + 0 x anything would become +0
  if (pull == 1) return Unpack(packed, carry, member);
  torch::NoGradGuard no_grad;
  ForEachPart(packed, carry, member,
              [pull](torch::Tensor& own, const torch::Tensor& part) { own.lerp_(part, pull); });
}

torch::Tensor& DenseMean::Take(const MemberState& member, comm::Communicator& comm) {
  Pack(member, carry_, mean_);
  comm.AllReduceSum(mean_);
  return mean_.div_(comm.size());
}

MeanTraffic MeanTraffic::operator+(const MeanTraffic& other) const {
  MeanTraffic sum{.bytes = bytes + other.bytes,
                  .messages = messages + other.messages,
                  .calls = calls,
                  .memory_bytes = memory_bytes + other.memory_bytes};
  sum.calls.insert(sum.calls.end(), other.calls.begin(), other.calls.end());
  return sum;
}

MeanTraffic AllReduceTraffic(int64_t n, int64_t element_bytes, int members) {
  // Rank r, owner of s_r elements, sends (n - s_r) + (N - 1) s_r elements; summed over the ranks 2
  // (N - 1) n. Only ranks that own something are sent to or send a sum: min(n, N) owners, each
  // takes part in 2 (N - 1) messages.
  const double twice_peers = 2.0 * (members - 1), ranks = members;
  const double vector_bytes = static_cast<double>(n * element_bytes);
  return {.bytes = twice_peers * vector_bytes / ranks,
          .messages = twice_peers * static_cast<double>(std::min<int64_t>(n, members)) / ranks,
          .calls = {{.kind = ExpectedCall::Kind::kAllReduce, .bytes = vector_bytes}},
          // The vector, and the shards of all ranks that its owner adds.
          .memory_bytes = 2 * vector_bytes};
}

Forecast Repeat(const MeanTraffic& exchange, int64_t exchanges) {
  const double times = static_cast<double>(exchanges);
  return {.bytes_per_rank = times * exchange.bytes,
          .messages_per_rank = times * exchange.messages,
          .exchanges = exchanges,
          .calls = exchange.calls,
          .memory_bytes = exchange.memory_bytes};
}

}  // namespace basin::trainer
