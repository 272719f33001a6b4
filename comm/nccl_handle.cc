#include "comm/nccl_handle.h"

#include <algorithm>
#include <exception>
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

/// Frees the device from kernels that wait for a peer. An abort was seen to hang itself after a process of the same host
/// had been killed (NVIDIA/nccl issues 863, 1777), so it gets a thread of its own and is left behind when it takes too
/// long: the process is about to end.
void AbortWithinBound(ncclComm_t comm) {
  std::packaged_task<void()> abort([comm] { ncclCommAbort(comm); });
  const std::future<void> done = abort.get_future();
  std::thread(std::move(abort)).detach();
  done.wait_for(std::chrono::seconds(10));
}

}  // namespace

bool CudaEvent::Reached() const {
  const cudaError_t state = cudaEventQuery(event_);
  if (state == cudaErrorNotReady) {
    (void)cudaGetLastError();  // "not ready" must not stay behind as the last error
    return false;
  }
  C10_CUDA_CHECK(state);
  return true;
}

NcclHandle::~NcclHandle() {
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

void NcclHandle::Fail(std::string_view operation, std::string_view why) {
  if (comm_ != nullptr) AbortWithinBound(std::exchange(comm_, nullptr));
  throw CommError(Text("rank ", seat_.rank, ": ", operation, ": ", why));
}

std::string NcclHandle::ErrorText(ncclResult_t result) const {
  const char* detail = comm_ == nullptr ? "" : ncclGetLastError(comm_);
  return Text(ncclGetErrorString(result), detail == nullptr || *detail == '\0' ? "" : ": ", detail == nullptr ? "" : detail);
}

void NcclHandle::PollUntil(std::string_view operation, milliseconds timeout, const std::function<bool()>& reached) {
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

std::string NcclHandle::LateText(milliseconds timeout) const {
  std::vector<int> peers;
  for (int p = 0; p < seat_.size; ++p) {
    if (p != seat_.rank) peers.push_back(p);
  }
  return Text("waited ", SecondsText(timeout), " for one or more of ", RanksText(peers),
              "; a peer that is only slow needs a longer comm.timeout_s");
}

}  // namespace basin::comm
