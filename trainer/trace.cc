#include "trainer/trace.h"

#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "trainer/agreement.h"

namespace basin::trainer {
namespace {

base::Json Metadata(const char* kind, int rank, base::Json value) {
  return {{"name", kind}, {"ph", "M"}, {"pid", rank}, {"tid", 0}, {"args", std::move(value)}};
}

double Microseconds(double seconds) { return std::round(seconds * 1e9) / 1e3; }

}  // namespace

void Trace::Begin(std::string_view operation, int64_t step) {
  End();
  if (operations_.size() == kMostOperations) {
    ++left_out_;
    return;
  }
  const double now = clock_.Seconds() - origin_;
  operations_.push_back({std::string(operation), step, now, now});
  open_ = true;
}

void Trace::End() {
  if (open_) operations_.back().end = clock_.Seconds() - origin_;
  open_ = false;
}

/// The events of this rank, without the brackets of their list.
std::string Trace::Events(int rank, int64_t member) const {
  std::string text = Metadata("process_name", rank, {{"name", Text("member ", member)}}).dump();
  text += ",\n" + Metadata("process_sort_index", rank, {{"sort_index", rank}}).dump();
  if (left_out_ > 0) text += ",\n" + Metadata("process_labels", rank, {{"labels", Text(left_out_, " operations left out")}}).dump();
  for (const Operation& operation : operations_) {
    const base::Json event = {{"name", operation.name},
                              {"ph", "X"},
                              {"ts", Microseconds(operation.begin)},
                              {"dur", Microseconds(operation.end - operation.begin)},
                              {"pid", rank},
                              {"tid", 0},
                              {"args", {{"step", operation.step}}}};
    text += ",\n" + event.dump();
  }
  return text;
}

void Trace::Write(const std::filesystem::path& file, int64_t member, comm::Communicator& comm) {
  End();
  std::string all;
  for (int rank = 0; rank < comm.size(); ++rank) {
    std::string events = rank == comm.rank() ? Events(rank, member) : "";
    BroadcastText(comm, events, rank);
    all += (rank == 0 ? "" : ",\n") + events;
  }
  if (comm.rank() == 0) base::WriteFileAtomically(file, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n" + all + "\n]}\n");
}

}  // namespace basin::trainer
