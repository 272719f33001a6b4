// metrics.jsonl: the primary record of a run, one JSON object a line.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "comm/counting.h"
#include "report/tensorboard.h"

namespace basin::trainer {

/// Appends whole lines to one file, from any thread; several processes may append to the same file on one host
/// (each write is a single append of whole lines).
class MetricsFile {
 public:
  explicit MetricsFile(const std::filesystem::path& path);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;
  void Append(const std::string& lines);
  /// Puts what was appended on disk.
  void Sync();

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::mutex mutex_;
};

/// Where TensorBoard finds a rank's scalars; both may be null.
struct EventWriters {
  std::unique_ptr<report::EventWriter> member;  ///< of the rank's member
  std::unique_ptr<report::EventWriter> run;     ///< of the population ("population" records), on the rank that tells of it
};

/// The records of one member, collected and written at least once a second.
class MetricsWriter {
 public:
  /// `file` may be null: records are dropped. `records`: that a resumed run has written before.
  MetricsWriter(MetricsFile* file, int64_t member, const base::Clock& clock, EventWriters events = {}, int64_t records = 0);
  ~MetricsWriter();

  /// `loss`: scalar on any device; read when the records are flushed, so that a GPU is not waited for at every step.
  void Step(int64_t step, int64_t epoch, double lr, const torch::Tensor& loss);
  void Exchange(int64_t step, int64_t epoch, const comm::Ledger& before, const comm::Ledger& after);
  /// Any other kind: "epoch", "eval", "population", "event". `fields` follow kind, time, step, epoch, member.
  void Record(const std::string& kind, int64_t step, int64_t epoch, const base::Json& fields);
  /// Also reads the pending losses.
  void Flush();
  /// Loss of the last step that was flushed.
  double last_loss() const { return last_loss_; }
  /// Records so far, pending ones and those of the run's earlier parts included.
  int64_t records() const { return records_; }

 private:
  struct Pending {
    base::Json record;
    torch::Tensor loss;  // undefined: the record is complete
  };
  base::Json Header(const std::string& kind, double time, int64_t step, int64_t epoch) const;
  /// Flushes when it is time.
  void Add(Pending pending);
  void ShowInTensorBoard(const base::Json& record);

  MetricsFile* file_;
  int64_t member_;
  const base::Clock& clock_;
  EventWriters events_;
  double last_flush_;
  std::vector<Pending> pending_;
  double last_loss_ = 0;
  int64_t records_;
};

}  // namespace basin::trainer
