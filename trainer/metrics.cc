#include "trainer/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/log.h"

namespace basin::trainer {

MetricsFile::MetricsFile(const std::filesystem::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) throw DataError(Text(path.string(), ": cannot be opened for writing: ", std::strerror(errno)));
}

MetricsFile::~MetricsFile() { ::close(descriptor_); }

void MetricsFile::Append(const std::string& lines) {
  const std::lock_guard lock(mutex_);
  for (size_t done = 0; done < lines.size();) {
    const ssize_t written = ::write(descriptor_, lines.data() + done, lines.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw DataError(Text(path_.string(), ": cannot be written: ", std::strerror(errno),
                           "; mend this, then go on with --resume if the run has a checkpoint"));
    }
    done += static_cast<size_t>(written);
  }
}

void MetricsFile::Sync() {
  // Pipes and some file systems cannot be synced, and say so.
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
    throw DataError(Text(path_.string(), ": cannot be synced: ", std::strerror(errno)));
  }
}

MetricsWriter::MetricsWriter(MetricsFile* file, int64_t member, const base::Clock& clock, EventWriters events, int64_t records)
    : file_(file),
      member_(member),
      clock_(clock),
      events_(std::move(events)),
      last_flush_(clock.Seconds()),
      records_(records) {}

MetricsWriter::~MetricsWriter() {
  try {
    Flush();
  } catch (const std::exception& failure) {
    base::LogError(Text("the last metrics are lost: ", failure.what()));
  }
}

base::Json MetricsWriter::Header(const std::string& kind, double time, int64_t step, int64_t epoch) const {
  return {{"kind", kind}, {"time", time}, {"step", step}, {"epoch", epoch}, {"member", member_}};
}

void MetricsWriter::Step(int64_t step, int64_t epoch, double lr, const torch::Tensor& loss) {
  base::Json record = Header("step", base::UnixSeconds(), step, epoch);
  record["lr"] = lr;
  Add({std::move(record), loss});
}

void MetricsWriter::Exchange(int64_t step, int64_t epoch, const comm::Ledger& before, const comm::Ledger& after) {
  Record("exchange", step, epoch,
         {{"bytes", after.payload_bytes - before.payload_bytes},
          {"messages", after.messages - before.messages},
          {"seconds", after.seconds - before.seconds}});
}

void MetricsWriter::Record(const std::string& kind, int64_t step, int64_t epoch, const base::Json& fields) {
  base::Json record = Header(kind, base::UnixSeconds(), step, epoch);
  record.update(fields);
  Add({std::move(record), {}});
}

void MetricsWriter::Add(Pending pending) {
  pending_.push_back(std::move(pending));
  ++records_;
  constexpr double kFlushSeconds = 0.5;  // the contract promises once a second
  if (clock_.Seconds() - last_flush_ >= kFlushSeconds) Flush();
}

void MetricsWriter::ShowInTensorBoard(const base::Json& record) {
  report::EventWriter* events = record["kind"] == "population" ? events_.run.get() : events_.member.get();
  if (events == nullptr) return;
  // Every number of a step, an evaluation or an exchange that is not its place in the run: "step/loss", "eval/accuracy", ...
  for (const auto& [key, value] : record.items()) {
    if (!value.is_number() || key == "time" || key == "step" || key == "epoch" || key == "member") continue;
    events->Scalar(record["kind"].get<std::string>() + '/' + key, record["step"].get<int64_t>(), record["time"].get<double>(),
                    value.get<float>());
  }
}

void MetricsWriter::Flush() {
  last_flush_ = clock_.Seconds();
  std::string lines;
  for (Pending& pending : pending_) {
    if (pending.loss.defined()) {
      last_loss_ = pending.loss.item<double>();
      pending.record["loss"] = std::isfinite(last_loss_) ? base::Json(last_loss_) : base::Json(nullptr);
    }
    lines += pending.record.dump() + '\n';
    ShowInTensorBoard(pending.record);
  }
  pending_.clear();
  if (file_ != nullptr && !lines.empty()) file_->Append(lines);
}

}  // namespace basin::trainer
