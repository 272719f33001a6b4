#include "comm/mpi_flight.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "base/error.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kTagOperations = 8, kTagCalls = 2048;
constexpr std::array<std::string_view, 6> kOperationNames = {"AllReduceSum", "AllReduceSum (sharing the sums)",
                                                             "AllGather",    "Broadcast",
                                                             "AllToAllV",    "Barrier"};

/// How to wait for a peer: hot first (a small message takes microseconds), then giving the core away, because ranks may
/// outnumber cores, then asleep.
class Patience {
 public:
  /// True when the wait is a long one.
  bool Pause() {
    const auto waited = SteadyClock::now() - start_;
    if (waited < std::chrono::microseconds(30)) return false;
    if (waited < std::chrono::milliseconds(2)) {
      sched_yield();
      return false;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    return true;
  }
  void Reset() { start_ = SteadyClock::now(); }

 private:
  SteadyClock::time_point start_ = SteadyClock::now();
};

/// An empty message is one piece too: Barrier sends nothing else.
template <typename Visit>
void ForEachPiece(int64_t bytes, int64_t piece_bytes, const Visit& visit) {
  int64_t begin = 0;
  do {
    const int64_t count = std::min(bytes - begin, piece_bytes);
    visit(begin, static_cast<int>(count));
    begin += count;
  } while (begin < bytes);
}

}  // namespace

void CheckMpi(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw CommError(Text(what, " failed: ", std::string_view(text.data(), length)));
}

bool WaitUntil(MPI_Request& request, SteadyClock::time_point deadline) {
  Patience patience;
  for (int done = 0;;) {
    CheckMpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done) return true;
    if (SteadyClock::now() >= deadline) return false;
    patience.Pause();
  }
}

int Tag::value() const { return static_cast<int>(call % kTagCalls) * kTagOperations + static_cast<int>(operation); }

std::string_view Tag::name() const { return kOperationNames[static_cast<size_t>(operation)]; }

std::string Tag::Describe(int value) {
  return Text(kOperationNames.at(static_cast<size_t>(value % kTagOperations)), ", call ", value / kTagOperations);
}

Flight::Flight(const Route& route, int rank, Tag tag, const Limits& limits, std::vector<torch::Tensor> buffers)
    : route_(route), rank_(route.PlaceOf(rank)), tag_(tag), limits_(limits), buffers_(std::move(buffers)) {}

Flight::~Flight() {
  if (open_ == 0) return;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] == MPI_REQUEST_NULL) continue;
    if (!messages_[i].is_send) MPI_Cancel(&requests_[i]);
    MPI_Request_free(&requests_[i]);
  }
  new std::vector<torch::Tensor>(std::move(buffers_));  // leaked on purpose, see the class
}

MPI_Request* Flight::Add(int peer, bool is_send, int bytes) {
  messages_.push_back({peer, is_send, bytes});
  requests_.push_back(MPI_REQUEST_NULL);
  ++open_;
  return &requests_.back();
}

void Flight::Send(int peer, const std::byte* data, int64_t bytes) {
  peer = route_.PlaceOf(peer);
  ForEachPiece(bytes, limits_.piece_bytes, [&](int64_t begin, int count) {
    const int code = MPI_Isend(data + begin, count, MPI_BYTE, peer, tag_.value(), route_.comm, Add(peer, true, count));
    if (code != MPI_SUCCESS) CheckMpi(code, Where(Text("sending to rank ", peer)));
  });
}

void Flight::Receive(int peer, std::byte* data, int64_t bytes) {
  peer = route_.PlaceOf(peer);
  ForEachPiece(bytes, limits_.piece_bytes, [&](int64_t begin, int count) {
    const int code = MPI_Irecv(data + begin, count, MPI_BYTE, peer, tag_.value(), route_.comm, Add(peer, false, count));
    if (code != MPI_SUCCESS) CheckMpi(code, Where(Text("receiving from rank ", peer)));
  });
}

int Flight::Look() {
  const int count = static_cast<int>(requests_.size());
  std::vector<int> indices(requests_.size());
  std::vector<MPI_Status> statuses(requests_.size());
  int done = 0;
  const int code = MPI_Testsome(count, requests_.data(), &done, indices.data(), statuses.data());
  if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) CheckMpi(code, Where("MPI_Testsome"));
  for (int i = 0; i < done; ++i) {
    // The status carries an error code only when the call says so.
    if (code == MPI_SUCCESS) statuses[i].MPI_ERROR = MPI_SUCCESS;
    CheckArrived(messages_[indices[i]], statuses[i]);
  }
  open_ -= done;
  return done;
}

void Flight::Wait() {
  if (failure_) std::rethrow_exception(failure_);
  Patience patience;
  while (open_ > 0) {
    if (Look() > 0) {
      patience.Reset();
    } else if (SteadyClock::now() >= limits_.deadline) {
      throw CommError(LateText());
    } else if (patience.Pause() && limits_.watch) {
      limits_.watch();
    }
  }
}

bool Flight::Progress() noexcept {
  try {
    if (open_ > 0) Look();
  } catch (...) {
    failure_ = std::current_exception();
  }
  return failure_ || open_ == 0;
}

void Flight::CheckArrived(const Message& message, const MPI_Status& status) const {
  if (status.MPI_ERROR == MPI_ERR_TRUNCATE) {
    throw CommError(Where(Text("rank ", message.peer, " sent more than the ", message.bytes,
                               " bytes that were expected; the ranks disagree about the length")));
  }
  if (status.MPI_ERROR != MPI_SUCCESS) {
    CheckMpi(status.MPI_ERROR, Where(Text(message.is_send ? "sending to rank " : "receiving from rank ", message.peer)));
  }
  if (message.is_send) return;
  int received = 0;
  CheckMpi(MPI_Get_count(&status, MPI_BYTE, &received), "MPI_Get_count");
  if (received != message.bytes) {
    throw CommError(Where(Text("rank ", message.peer, " sent ", received, " bytes where ", message.bytes,
                               " were expected; the ranks disagree about the length")));
  }
}

std::string Flight::Where(std::string_view what) const { return Text("rank ", rank_, ": ", tag_.name(), ": ", what); }

std::string Flight::LateText() const {
  std::vector<int> missing;
  for (size_t i = 0; i < requests_.size(); ++i) {
    const bool open = requests_[i] != MPI_REQUEST_NULL;
    if (open && std::ranges::find(missing, messages_[i].peer) == missing.end()) missing.push_back(messages_[i].peer);
  }
  std::ranges::sort(missing);
  std::string text = Where(Text("waited ", SecondsText(limits_.timeout), " for ", RanksText(missing)));
  for (int peer : missing) {
    int found = 0;
    MPI_Status status;
    MPI_Iprobe(peer, MPI_ANY_TAG, route_.comm, &found, &status);
    if (found) {
      text += Text("; rank ", peer, " has sent for ", Tag::Describe(status.MPI_TAG), " while this is ",
                   Tag::Describe(tag_.value()));
    }
  }
  return text + "; a peer that is only slow needs a longer comm.timeout_s";
}

}  // namespace basin::comm
