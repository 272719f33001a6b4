// The client's part of a run's end: tasks.
#include <utility>

#include "base/error.h"
#include "coordinator/client.h"
#include "coordinator/client_calls.h"
#include "coordinator/limits.h"
#include "coordinator/wire_finish.h"

namespace basin::coordinator {

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
  CallOnce(*connection_, Text("return task ", id), Deadline(deadline), &v1::Coordinator::Stub::ReturnTask, request,
           reply);
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
