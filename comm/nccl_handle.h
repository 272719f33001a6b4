// What calls of NCCL rest on: a communicator that is aborted when it fails, and waits that end. Only in builds with CUDA.
#pragma once

#include <c10/cuda/CUDAException.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "comm/communicator.h"

namespace basin::comm {

/// A non-blocking call may still be at work when it returns.
inline bool Accepted(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

/// A CUDA event that marks the end of what was enqueued on a stream.
class CudaEvent {
 public:
  CudaEvent() { C10_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~CudaEvent() { (void)cudaEventDestroy(event_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void Record(cudaStream_t stream) { C10_CUDA_CHECK(cudaEventRecord(event_, stream)); }
  /// What is enqueued on `stream` from now on begins after this event.
  void HoldBack(cudaStream_t stream) const { C10_CUDA_CHECK(cudaStreamWaitEvent(stream, event_, 0)); }
  bool Reached() const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// Owns an ncclComm_t. Destroyed in good health it is finalised within the deadline, otherwise aborted: neither blocks for
/// a peer that is gone. Failures are CommError; afterwards get() is null.
class NcclHandle {
 public:
  NcclHandle(const Seat& seat, std::chrono::milliseconds timeout) : seat_(seat), timeout_(timeout) {}
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  ncclComm_t get() const { return comm_; }
  ncclComm_t* out() { return &comm_; }

  /// Waits until NCCL has finished the work that a non-blocking call started on the host.
  void Settle(std::string_view operation, std::chrono::milliseconds timeout) {
    PollUntil(operation, timeout, [] { return true; });
  }
  /// Waits until the device has reached the event.
  void Wait(std::string_view operation, std::chrono::milliseconds timeout, const CudaEvent& event) {
    PollUntil(operation, timeout, [&] { return event.Reached(); });
  }
  void Check(ncclResult_t result, std::string_view operation) {
    if (!Accepted(result)) Fail(operation, ErrorText(result));
  }

 private:
  [[noreturn]] void Fail(std::string_view operation, std::string_view why);
  std::string ErrorText(ncclResult_t result) const;
  void PollUntil(std::string_view operation, std::chrono::milliseconds timeout, const std::function<bool()>& reached);
  /// NCCL does not tell which peer it waits for.
  std::string LateText(std::chrono::milliseconds timeout) const;

  Seat seat_;
  std::chrono::milliseconds timeout_;
  ncclComm_t comm_ = nullptr;
};

}  // namespace basin::comm
