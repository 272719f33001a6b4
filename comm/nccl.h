// Ranks own one CUDA device each; NCCL moves the data. The only door to nccl.h. Built with BASIN_CUDA.
#pragma once

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace basin::comm {

/// Non-blocking communicator over the ranks of `bootstrap` (which carries the id and is used for nothing else later).
/// Every wait polls for asynchronous errors until the deadline, then aborts the communicator and throws CommError.
/// AllReduceSum is counted as a ring: 2 (size - 1) / size of the bytes in 2 (size - 1) messages.
std::unique_ptr<Communicator> MakeNccl(Communicator& bootstrap, torch::Device device,
                                       std::chrono::milliseconds timeout);
std::string NcclVersion();  ///< "2.28.9"

}  // namespace basin::comm
