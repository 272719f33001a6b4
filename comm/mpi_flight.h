// Point-to-point messages with a deadline. Part of the door to mpi.h: included by mpi_world.h only.
#pragma once

#include <mpi.h>
#include <torch/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace basin::comm {

/// CommError with MPI's own text.
void CheckMpi(int code, std::string_view what);
/// True when the request completed before the deadline.
bool WaitUntil(MPI_Request& request, std::chrono::steady_clock::time_point deadline);

enum class Operation : int { kReduceScatter, kShareSums, kAllGather, kBroadcast, kAllToAllV, kBarrier };

/// Number of the call (modulo 2048) and operation in one tag, so that calls that do not belong together never match and
/// a deadline can tell what the peer is doing instead. Every MPI allows tags up to 32767.
struct Tag {
  Operation operation;
  int64_t call;

  int value() const;
  std::string_view name() const;
  static std::string Describe(int value);  ///< "Broadcast, call 3"
};

struct Limits {
  std::chrono::steady_clock::time_point deadline;
  std::chrono::milliseconds timeout;
  int64_t piece_bytes;
  std::function<void()> watch{};  ///< asked while waiting; see Communicator::SetWatch
};

/// A communicator of MPI, and which of its ranks take part: peer p stands for rank places[p]. Empty: all, as they are.
struct Route {
  MPI_Comm comm;
  std::vector<int> places{};
  int PlaceOf(int peer) const { return places.empty() ? peer : places[peer]; }
};

/// The messages of one operation in flight. Destroyed before all are done, it abandons them; the tensors it holds then stay
/// allocated for ever, because MPI may still read or write them.
class Flight {
 public:
  /// Borrows the route. Messages and failures name ranks of its communicator.
  Flight(const Route& route, int rank, Tag tag, const Limits& limits, std::vector<torch::Tensor> buffers);
  ~Flight();
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  void Send(int peer, const std::byte* data, int64_t bytes);
  void Receive(int peer, std::byte* data, int64_t bytes);
  /// Returns when every message has arrived or left; CommError at the deadline, or whatever the watch throws.
  void Wait();
  /// Of a flight that goes on in the background: looks once what has arrived. True when there is nothing left to look for; a failure is
  /// kept and thrown by Wait.
  bool Progress() noexcept;
  /// A new deadline for Wait.
  void Renew(const Limits& limits) { limits_ = limits; }

 private:
  struct Message {
    int peer;
    bool is_send;
    int bytes;
  };

  /// One look; the number of messages that have arrived or left since the last. Throws as Wait.
  int Look();
  MPI_Request* Add(int peer, bool is_send, int bytes);
  void CheckArrived(const Message& message, const MPI_Status& status) const;
  std::string LateText() const;
  std::string Where(std::string_view what) const;

  const Route& route_;
  int rank_;
  Tag tag_;
  Limits limits_;
  std::vector<torch::Tensor> buffers_;
  std::vector<MPI_Request> requests_;
  std::vector<Message> messages_;
  int open_ = 0;
  std::exception_ptr failure_;
};

}  // namespace basin::comm
