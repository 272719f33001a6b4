// The client's part of a run's end: weights, averages, tasks.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "coordinator/client.h"
#include "coordinator/connection.h"
#include "coordinator/wire_finish.h"

namespace basin::coordinator {
namespace {

using Seconds = std::chrono::duration<double>;

/// A moment in the future.
class Deadline {
 public:
  explicit Deadline(Seconds from_now) : given_s_(from_now.count()), end_(clock_.Now() + FromSeconds(given_s_)) {}
  double given_s() const { return given_s_; }
  double left_s() const { return std::max(0.0, ToSeconds(end_ - clock_.Now())); }

 private:
  const base::SystemClock clock_{};
  double given_s_;
  Time end_;
};

grpc::Status Passing(const std::string& text) { return {grpc::StatusCode::UNAVAILABLE, text}; }

/// Makes a call until it succeeds. A refusal to talk to this process may come from a restarted coordinator that does not know it yet; the
/// heartbeat joins again, or learns that it was put out, which ends the trying.
void Call(Connection& connection, const std::string& what, const Deadline& until,
          const std::function<grpc::Status()>& call) {
  connection.Retry(what, until.left_s(), [&] {
    grpc::Status status = call();
    if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED) return Passing(status.error_message());
    return status;
  });
}

/// The same for a call of one request and one reply, each attempt no longer than call_s.
template <typename Method, typename Request, typename Reply>
void CallOnce(Connection& connection, const std::string& what, const Deadline& until, Method method,
              const Request& request, Reply& reply) {
  Call(connection, what, until, [&] {
    grpc::ClientContext context;
    SetDeadline(context, std::min(connection.options().call_s, until.left_s()));
    return (connection.stub().*method)(&context, request, &reply);
  });
}

/// Grows from quick to polite. Ends early when the run does.
class Pauses {
 public:
  explicit Pauses(Connection& connection) : connection_(connection) {}
  void Reset() { pause_s_ = kFirst_s; }
  void Rest(const Deadline& until, const std::string& what, const std::string& why) {
    if (until.left_s() <= 0)
      throw CommError(Text("member ", connection_.options().member, " waited ", until.given_s(), " s for ", what, ": ", why));
    const auto ended = connection_.WaitUntil(std::min(pause_s_, until.left_s()), [](const Directive& now) {
      return now.verdict == Verdict::kEnd || now.verdict == Verdict::kPutOut;
    });
    if (ended)
      throw CommError(Text("member ", connection_.options().member, " no longer waits for ", what, ": ", ended->reason));
    pause_s_ = std::min(0.5, 1.5 * pause_s_);
  }

 private:
  Connection& connection_;
  static constexpr double kFirst_s = 0.02;
  double pause_s_ = kFirst_s;
};

/// A file on its way to the coordinator, over as many connections as it takes.
class Sending {
 public:
  Sending(Connection& connection, const std::filesystem::path& path) : connection_(connection), file_(path) {
    header_.set_name(MemberWeightsName(connection.options().member));
    *header_.mutable_caller() = ToWire(connection.caller());
    header_.set_total_bytes(static_cast<int64_t>(file_.bytes().size()));
    header_.set_total_hash(base::Hash64(file_.bytes()));
  }

  grpc::Status Attempt(const Deadline& until) {
    grpc::Status status = AskWhatIsHeld(until);
    if (!status.ok() || receipt_.complete()) return status;
    status = Stream(until);
    if (status.ok() && !receipt_.complete()) return Passing("the stream of weights ended early");
    return status;
  }
  const v1::WeightsReceipt& receipt() const { return receipt_; }

 private:
  grpc::Status AskWhatIsHeld(const Deadline& until) {
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    v1::WeightsQuery query;
    *query.mutable_caller() = header_.caller();
    query.set_name(header_.name());
    query.set_total_bytes(header_.total_bytes());
    query.set_total_hash(header_.total_hash());
    return connection_.stub().HeldWeights(&context, query, &receipt_);
  }

  grpc::Status Stream(const Deadline& until) {
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    const auto held = static_cast<size_t>(std::clamp<int64_t>(receipt_.held_bytes(), 0, header_.total_bytes()));
    const auto writer = connection_.stub().SendWeights(&context, &receipt_);
    v1::WeightsChunk chunk = header_;
    for (auto rest = file_.bytes().subspan(held); !rest.empty();) {
      const auto piece = rest.first(std::min(kMaxChunkBytes, rest.size()));
      chunk.set_offset(static_cast<int64_t>(file_.bytes().size() - rest.size()));
      chunk.set_hash(base::Hash64(piece));
      chunk.set_data(piece.data(), piece.size());
      if (!writer->Write(chunk)) break;
      if (chunk.has_caller()) chunk = {};
      rest = rest.subspan(piece.size());
    }
    writer->WritesDone();
    return writer->Finish();
  }

  Connection& connection_;
  const base::MappedFile file_;
  v1::WeightsChunk header_;
  v1::WeightsReceipt receipt_;
};

/// A file on its way from the coordinator.
class Fetching {
 public:
  Fetching(Connection& connection, const std::string& name, std::filesystem::path to)
      : connection_(connection), to_(std::move(to)) {
    *query_.mutable_caller() = ToWire(connection.caller());
    query_.set_name(name);
  }

  grpc::Status Attempt(const Deadline& until) {
    if (file_ == nullptr) file_ = std::make_unique<base::AtomicFile>(to_);
    query_.set_offset(file_->digest().bytes);
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    const auto reader = connection_.stub().FetchWeights(&context, query_);
    std::string problem;
    try {
      v1::WeightsChunk chunk;
      while (problem.empty() && reader->Read(&chunk)) problem = Take(chunk);
    } catch (...) {  // the disk is full, say
      context.TryCancel();
      reader->Finish();
      throw;
    }
    if (!problem.empty()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    if (problem.empty() && !status.ok()) {
      // A file of another size may have taken the place of the one that was begun.
      if (status.error_code() != grpc::StatusCode::INVALID_ARGUMENT || query_.offset() == 0) return status;
      problem = status.error_message();
    } else if (problem.empty() && file_->digest() == whole_) {
      return grpc::Status::OK;
    }
    if (!problem.empty() || file_->digest().bytes >= whole_.bytes) file_.reset();  // its bytes are of no use
    return Passing(problem.empty() ? "the file did not arrive as a whole" : problem);
  }
  void Commit() { file_->Commit(); }

 private:
  /// Why the chunk is not what was asked for; empty: it was taken.
  std::string Take(const v1::WeightsChunk& chunk) {
    const int64_t held = file_->digest().bytes;
    if (chunk.total_bytes() > 0) {
      const base::FileDigest whole{chunk.total_bytes(), chunk.total_hash()};
      if (held > 0 && whole != whole_) return "another file took its place meanwhile";
      whole_ = whole;
    }
    const auto bytes = std::as_bytes(std::span(chunk.data()));
    const auto end = held + static_cast<int64_t>(bytes.size());
    if (chunk.offset() != held || end > whole_.bytes || base::Hash64(bytes) != chunk.hash())
      return Text("the bytes from ", chunk.offset(), " on arrived damaged or out of order");
    file_->Write(bytes);
    return {};
  }

  Connection& connection_;
  const std::filesystem::path to_;
  v1::WeightsQuery query_;
  std::unique_ptr<base::AtomicFile> file_;
  base::FileDigest whole_;
};

}  // namespace

WeightsReceipt Client::SendWeights(const std::filesystem::path& file, Seconds deadline) {
  const Deadline until(deadline);
  Sending sending(*connection_, file);
  Call(*connection_, Text("send the weights in ", file.string()), until, [&] { return sending.Attempt(until); });
  return FromWire(sending.receipt());
}

void Client::FetchWeights(const std::string& name, const std::filesystem::path& to, Seconds deadline) {
  const Deadline until(deadline);
  Fetching fetching(*connection_, name, to);
  Call(*connection_, Text("fetch ", name), until, [&] { return fetching.Attempt(until); });
  fetching.Commit();
}

void Client::Average(const AverageJob& job, Seconds deadline) {
  const Deadline until(deadline);
  const v1::AverageRequest request = ToWire(connection_->caller(), job);
  for (Pauses pauses(*connection_);;) {
    v1::AverageReply reply;
    CallOnce(*connection_, Text("have ", job.name, " made"), until, &v1::Coordinator::Stub::Average, request, reply);
    const AverageProgress progress = FromWire(reply);
    if (progress.state == AverageProgress::State::kDone) return;
    if (progress.state == AverageProgress::State::kFailed) throw DataError(Text("the coordinator: ", progress.reason));
    pauses.Rest(until, job.name, progress.reason);
  }
}

TaskProgress Client::PostTasks(const TaskList& list, Seconds deadline) {
  v1::TaskProgress reply;
  CallOnce(*connection_, "post its tasks", Deadline(deadline), &v1::Coordinator::Stub::PostTasks,
           ToWire(connection_->caller(), list), reply);
  return FromWire(reply);
}

FetchedTask Client::FetchTask(Seconds deadline) {
  v1::FetchTaskRequest request;
  *request.mutable_caller() = ToWire(connection_->caller());
  v1::FetchTaskReply reply;
  CallOnce(*connection_, "fetch a task", Deadline(deadline), &v1::Coordinator::Stub::FetchTask, request, reply);
  return FromWire(reply);
}

TaskProgress Client::ReturnTask(int64_t id, std::span<const double> values, Seconds deadline) {
  BASIN_CHECK(id >= 0 && id < kMaxTasks, "task ", id);
  v1::ReturnTaskRequest request;
  *request.mutable_caller() = ToWire(connection_->caller());
  request.set_id(static_cast<int32_t>(id));
  request.mutable_values()->Assign(values.begin(), values.end());
  v1::TaskProgress reply;
  CallOnce(*connection_, Text("return task ", id), Deadline(deadline), &v1::Coordinator::Stub::ReturnTask, request, reply);
  return FromWire(reply);
}

std::optional<std::vector<std::vector<double>>> Client::TaskResults(Seconds deadline) {
  const Deadline until(deadline);
  v1::TaskResultsRequest request;
  *request.mutable_caller() = ToWire(connection_->caller());
  std::vector<std::vector<double>> results;
  for (Pauses pauses(*connection_);;) {
    request.set_from(static_cast<int32_t>(results.size()));
    v1::TaskResultsReply reply;
    CallOnce(*connection_, "read the tasks' results", until, &v1::Coordinator::Stub::TaskResults, request, reply);
    const TaskProgress progress = FromWire(reply.progress());
    if (progress.total == 0) return std::nullopt;
    for (const v1::TaskResult& result : reply.results())
      results.emplace_back(result.values().begin(), result.values().end());
    if (static_cast<int64_t>(results.size()) >= progress.total) return results;
    if (reply.results_size() == 0)
      pauses.Rest(until, "the tasks' results", Text(progress.done, " of ", progress.total, " tasks are done"));
  }
}

std::vector<std::vector<double>> Client::WorkOn(const TaskList& list,
                                                const std::function<std::vector<double>(const Task&)>& evaluate,
                                                Seconds deadline) {
  const Deadline until(deadline);
  Pauses pauses(*connection_);
  PostTasks(list, deadline);
  for (;;) {
    const FetchedTask next = FetchTask(Seconds(until.left_s()));
    switch (next.kind) {
      case FetchedTask::Kind::kGiven: {
        const std::vector<double> values = evaluate(next.task);
        while (ReturnTask(next.task.id, values, Seconds(until.left_s())).total == 0)
          PostTasks(list, Seconds(until.left_s()));
        pauses.Reset();
        break;
      }
      case FetchedTask::Kind::kAllDone:
        if (auto results = TaskResults(Seconds(until.left_s()))) return *std::move(results);
        break;
      case FetchedTask::Kind::kNoList: PostTasks(list, Seconds(until.left_s())); break;
      case FetchedTask::Kind::kNoneOpen:
        pauses.Rest(until, "the others' tasks", Text(next.progress.done, " of ", next.progress.total, " are done"));
    }
  }
}

}  // namespace basin::coordinator
