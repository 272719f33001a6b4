#include "comm/nccl.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "comm/nccl_handle.h"
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
    Run("AllToAllV", [&](ncclComm_t comm, cudaStream_t stream) {
      return EnqueueParts(send, send_counts, recv, recv_counts, comm, stream);
    });
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
  }

  /// On a stream of its own, so that the caller's kernels do not queue up behind the messages.
  std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                                           std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    CheckUsable();
    const c10::cuda::CUDAGuard guard(device());
    if (!side_) side_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device().index());
    auto flight = std::make_unique<Flight>(*this, send, recv);
    CudaEvent ready;  // what fills `send`, and the last reader of `recv`'s memory
    ready.Record(c10::cuda::getCurrentCUDAStream(device().index()).stream());
    ready.HoldBack(side_->stream());
    handle_.Check(EnqueueParts(send, send_counts, recv, recv_counts, handle_.get(), side_->stream()), Flight::kOperation);
    handle_.Settle(Flight::kOperation, timeout());
    flight->end.Record(side_->stream());
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
    return flight;
  }

  void Barrier() override {
    Run("Barrier", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(arrivals_.data_ptr(), arrivals_.data_ptr(), 1, ncclFloat32, ncclSum, comm, stream);
    });
  }

 private:
  /// The other half of a StartAllToAllV.
  class Flight final : public Transfer {
   public:
    static constexpr std::string_view kOperation = "StartAllToAllV";
    /// Given up, its messages may still be under way: the allocator then hands out their memory only after `side_` is done with it.
    Flight(NcclCommunicator& comm, const torch::Tensor& send, const torch::Tensor& recv) : comm_(comm), send_(send), recv_(recv) {
      for (const torch::Tensor& kept : {send_, recv_}) kept.record_stream(*comm.side_);
    }
    void Wait() override {
      comm_.CheckUsable();
      const c10::cuda::CUDAGuard guard(comm_.device());
      comm_.handle_.Wait(kOperation, comm_.timeout(), end);
    }
    CudaEvent end;

   private:
    NcclCommunicator& comm_;
    torch::Tensor send_, recv_;
  };

  void CheckUsable() const {
    if (handle_.get() == nullptr) {
      throw CommError(Text("rank ", rank(), ": this communicator failed before and cannot be used again"));
    }
  }

  /// One group: all sends and receives progress together, so their order cannot deadlock. Own part included.
  ncclResult_t EnqueueParts(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                            std::span<const int64_t> recv_counts, ncclComm_t comm, cudaStream_t stream) const {
    const ncclDataType_t type = DataType(send.scalar_type());
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
  }

  /// Enqueues on the current stream and waits for the device, because a peer that is gone shows only there.
  template <typename Enqueue>
  void Run(std::string_view operation, const Enqueue& enqueue) {
    CheckUsable();
    const torch::NoGradGuard no_grad;
    const c10::cuda::CUDAGuard guard(device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device().index()).stream();
    const auto start = SteadyClock::now();
    handle_.Check(enqueue(handle_.get(), stream), operation);
    handle_.Settle(operation, timeout());
    CudaEvent done;
    done.Record(stream);
    const auto spent = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - start);
    handle_.Wait(operation, std::max(milliseconds(1), timeout() - spent), done);
  }

  Seat seat_;
  NcclHandle handle_;
  std::optional<c10::cuda::CUDAStream> side_;  ///< of transfers; made when the first one starts
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
