#include "comm/nccl.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

ncclDataType_t DataType(torch::Dtype dtype) {
  switch (dtype) {
    case torch::kFloat32: return ncclFloat32;
    case torch::kFloat64: return ncclFloat64;
    case torch::kInt64: return ncclInt64;
    case torch::kUInt8: return ncclUint8;
    default: throw CheckFailed(Text("dtype ", dtype, " has no NCCL type here"));
  }
}

/// A non-blocking call may still be at work when it returns.
bool Accepted(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

/// A CUDA event that marks the end of what was enqueued.
class Event {
 public:
  Event() { C10_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { (void)cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Record(cudaStream_t stream) { C10_CUDA_CHECK(cudaEventRecord(event_, stream)); }
  bool Reached() const {
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) {
      (void)cudaGetLastError();  // "not ready" must not stay behind as the last error
      return false;
    }
    C10_CUDA_CHECK(state);
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Frees the device from kernels that wait for a peer. An abort was seen to hang itself after a process of the same host
/// had been killed (NVIDIA/nccl issues 863, 1777), so it gets a thread of its own and is left behind when it takes too
/// long: the process is about to end.
void AbortWithinBound(ncclComm_t comm) {
  std::packaged_task<void()> abort([comm] { ncclCommAbort(comm); });
  const std::future<void> done = abort.get_future();
  std::thread(std::move(abort)).detach();
  done.wait_for(std::chrono::seconds(10));
}

/// Owns an ncclComm_t. Destroyed in good health it is finalised within the deadline, otherwise aborted: neither blocks for
/// a peer that is gone.
class Handle {
 public:
  Handle(const Seat& seat, milliseconds timeout) : seat_(seat), timeout_(timeout) {}
  ~Handle() {
    if (comm_ == nullptr) return;
    if (std::uncaught_exceptions() > 0) {
      AbortWithinBound(comm_);
      return;
    }
    try {
      Check(ncclCommFinalize(comm_), "the end");
      Settle("the end", timeout_);
      ncclCommDestroy(comm_);
    } catch (const CommError&) {
      // Already aborted, and there is nobody left to tell.
    }
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  ncclComm_t get() const { return comm_; }
  ncclComm_t* out() { return &comm_; }

  /// Waits until NCCL has finished the work that a non-blocking call started on the host.
  void Settle(std::string_view operation, milliseconds timeout) {
    PollUntil(operation, timeout, [] { return true; });
  }
  /// Waits until the device has reached the event.
  void Wait(std::string_view operation, milliseconds timeout, const Event& event) {
    PollUntil(operation, timeout, [&] { return event.Reached(); });
  }
  void Check(ncclResult_t result, std::string_view operation) {
    if (!Accepted(result)) Fail(operation, ErrorText(result));
  }
  [[noreturn]] void Fail(std::string_view operation, std::string_view why) {
    if (comm_ != nullptr) AbortWithinBound(std::exchange(comm_, nullptr));
    throw CommError(Text("rank ", seat_.rank, ": ", operation, ": ", why));
  }

 private:
  std::string ErrorText(ncclResult_t result) const {
    const char* detail = comm_ == nullptr ? "" : ncclGetLastError(comm_);
    return Text(ncclGetErrorString(result), detail == nullptr || *detail == '\0' ? "" : ": ",
                detail == nullptr ? "" : detail);
  }

  void PollUntil(std::string_view operation, milliseconds timeout, const std::function<bool()>& reached) {
    const auto start = SteadyClock::now();
    while (true) {
      ncclResult_t state = ncclSuccess;
      const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
      if (asked != ncclSuccess) Fail(operation, ErrorText(asked));
      if (state != ncclSuccess && state != ncclInProgress) Fail(operation, ErrorText(state));
      if (state == ncclSuccess && reached()) return;
      const auto waited = SteadyClock::now() - start;
      if (waited >= timeout) Fail(operation, LateText(timeout));
      // Device work of an exchange takes tens of microseconds; only a longer wait is worth giving the core away.
      if (waited > std::chrono::microseconds(200)) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  /// NCCL does not tell which peer it waits for.
  std::string LateText(milliseconds timeout) const {
    std::vector<int> peers;
    for (int p = 0; p < seat_.size; ++p) {
      if (p != seat_.rank) peers.push_back(p);
    }
    return Text("waited ", SecondsText(timeout), " for one or more of ", RanksText(peers),
                "; a peer that is only slow needs a longer comm.timeout_s");
  }

  Seat seat_;
  milliseconds timeout_;
  ncclComm_t comm_ = nullptr;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(const Seat& seat, milliseconds timeout, const ncclUniqueId& id)
      : Communicator(seat, timeout), seat_(seat), handle_(seat, timeout) {
    const c10::cuda::CUDAGuard guard(seat.device);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    handle_.Check(ncclCommInitRankConfig(handle_.out(), seat.size, id, seat.rank, &config), "joining the group");
    handle_.Settle("joining the group", timeout);
    arrivals_ = torch::zeros({1}, torch::TensorOptions(seat.device).dtype(torch::kFloat32));
  }

  std::string_view name() const override { return "nccl"; }

  void AllReduceSum(torch::Tensor& x) override {
    CheckSummable(seat_, "AllReduceSum", x);
    if (size() == 1 || x.numel() == 0) return;
    Run("AllReduceSum", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(x.data_ptr(), x.data_ptr(), x.numel(), DataType(x.scalar_type()), ncclSum, comm, stream);
    });
    // A ring; its share of the bytes is rounded down to whole bytes.
    CountTraffic({2 * (size() - 1) * TensorBytes(x) / size(), 2 * (size() - 1)});
  }

  torch::Tensor AllGather(const torch::Tensor& x) override {
    CheckVector(seat_, "AllGather", x);
    torch::Tensor rows = torch::empty({size(), x.numel()}, x.options().requires_grad(false));
    if (x.numel() == 0) return rows;
    Run("AllGather", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllGather(x.data_ptr(), rows.data_ptr(), x.numel(), DataType(x.scalar_type()), comm, stream);
    });
    CountTraffic({(size() - 1) * TensorBytes(x), size() - 1});
    return rows;
  }

  void Broadcast(torch::Tensor& x, int root) override {
    CheckTensor(seat_, "Broadcast", x);
    CheckRoot(seat_, root);
    if (size() == 1 || x.numel() == 0) return;
    Run("Broadcast", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclBroadcast(x.data_ptr(), x.data_ptr(), x.numel(), DataType(x.scalar_type()), root, comm, stream);
    });
    // Counted as the tree of the other backends, so that ledgers agree.
    const auto children = static_cast<int64_t>(BroadcastPlace(seat_, root).children.size());
    CountTraffic({children * TensorBytes(x), children});
  }

  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                 std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    const ncclDataType_t type = DataType(send.scalar_type());
    Run("AllToAllV", [&](ncclComm_t comm, cudaStream_t stream) {
      // One group: all sends and receives progress together, so their order cannot deadlock. Own part included.
      ncclResult_t result = ncclGroupStart();
      int64_t to = 0, from = 0;
      for (int p = 0; p < size() && Accepted(result); ++p) {
        if (send_counts[p] > 0) result = ncclSend(BytesAt(send, to), send_counts[p], type, p, comm, stream);
        if (Accepted(result) && recv_counts[p] > 0) {
          result = ncclRecv(BytesAt(recv, from), recv_counts[p], type, p, comm, stream);
        }
        to += send_counts[p];
        from += recv_counts[p];
      }
      const ncclResult_t end = ncclGroupEnd();
      return Accepted(result) ? end : result;
    });
    for (int p = 0; p < size(); ++p) {
      if (p != rank() && send_counts[p] > 0) CountTraffic({send_counts[p] * ElementBytes(send), 1});
    }
  }

  void Barrier() override {
    Run("Barrier", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(arrivals_.data_ptr(), arrivals_.data_ptr(), 1, ncclFloat32, ncclSum, comm, stream);
    });
  }

 private:
  /// Enqueues on the current stream and waits for the device, because a peer that is gone shows only there.
  template <typename Enqueue>
  void Run(std::string_view operation, const Enqueue& enqueue) {
    if (handle_.get() == nullptr) {
      throw CommError(Text("rank ", rank(), ": this communicator failed before and cannot be used again"));
    }
    const torch::NoGradGuard no_grad;
    const c10::cuda::CUDAGuard guard(device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device().index()).stream();
    const auto start = SteadyClock::now();
    handle_.Check(enqueue(handle_.get(), stream), operation);
    handle_.Settle(operation, timeout());
    Event done;
    done.Record(stream);
    const auto spent = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - start);
    handle_.Wait(operation, std::max(milliseconds(1), timeout() - spent), done);
  }

  Seat seat_;
  Handle handle_;
  torch::Tensor arrivals_;  ///< what a barrier sums; its value means nothing
};

}  // namespace

std::unique_ptr<Communicator> MakeNccl(Communicator& bootstrap, torch::Device device, milliseconds timeout) {
  BASIN_CHECK(device.is_cuda() && device.has_index(), "nccl needs a CUDA device with an index; found ", device);
  ncclUniqueId id{};
  if (bootstrap.rank() == 0) {
    const ncclResult_t made = ncclGetUniqueId(&id);
    if (made != ncclSuccess) throw CommError(Text("NCCL cannot make an id: ", ncclGetErrorString(made)));
  }
  torch::Tensor bytes = torch::empty({static_cast<int64_t>(sizeof id)}, torch::kUInt8);
  std::memcpy(bytes.data_ptr(), &id, sizeof id);
  bytes = bytes.to(bootstrap.device());
  bootstrap.Broadcast(bytes, 0);
  bytes = bytes.cpu();
  std::memcpy(&id, bytes.data_ptr(), sizeof id);
  const Seat seat{.rank = bootstrap.rank(), .size = bootstrap.size(), .device = device};
  return std::make_unique<NcclCommunicator>(seat, timeout, id);
}

std::string NcclVersion() {
  int version = 0;
  ncclGetVersion(&version);  // since 2.9: major * 10000 + minor * 100 + patch
  return Text(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace basin::comm
