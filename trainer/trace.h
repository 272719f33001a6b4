// When a rank did what, for people: chrome://tracing and Perfetto draw the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "comm/communicator.h"

namespace basin::trainer {

/// One rank's operations, one after another. Used by the thread of the rank. Times count from the construction, which comes after a
/// collective operation, so that the ranks' clocks agree to within its delay.
class Trace {
 public:
  /// At most this many operations are kept, the first ones; the file says how many are left out.
  static constexpr size_t kMostOperations = 200'000;

  explicit Trace(const base::Clock& clock) : clock_(clock), origin_(clock.Seconds()) {}
  /// Ends the operation before. `step`: taken so far.
  void Begin(std::string_view operation, int64_t step);
  void End();
  /// Writes all ranks' operations in the Trace Event Format, a process a rank. Collective; the file is rank 0's. `member`: this
  /// rank's.
  void Write(const std::filesystem::path& file, int64_t member, comm::Communicator& comm);

 private:
  struct Operation {
    std::string name;
    int64_t step;
    double begin, end;  // seconds since origin_
  };

  std::string Events(int rank, int64_t member) const;

  const base::Clock& clock_;
  const double origin_;
  std::vector<Operation> operations_;
  bool open_ = false;  // the last one has not ended
  int64_t left_out_ = 0;
};

}  // namespace basin::trainer
