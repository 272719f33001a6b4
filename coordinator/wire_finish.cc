#include "coordinator/wire_finish.h"

#include "coordinator/limits.h"
#include "coordinator/wire_checks.h"

namespace basin::coordinator {
namespace {

constexpr size_t kMaxNameOnWire = 256;  // what a name may look like is said by the store

[[noreturn]] void Strange(const std::string& what) {
  throw CommError(Text("the coordinator sent ", what, "; is it of another version?"));
}

base::FileDigest DigestOf(int64_t bytes, uint64_t hash) {
  return {InRange("total_bytes", bytes, 0, kMaxWeightsBytes), hash};
}

}  // namespace

WeightsHeader FromWire(const wire::WeightsChunk& first) {
  if (first.total_bytes() == 0)
    Refuse("total_bytes is 0; the first chunk of a stream says name, size and hash of the file");
  return {.caller = FromWire(first.caller()),
          .name = Short("name", first.name(), kMaxNameOnWire),
          .whole = DigestOf(first.total_bytes(), first.total_hash()),
          .offset = InRange("offset", first.offset(), 0, kMaxWeightsBytes)};
}

WeightsHeader FromWire(const wire::WeightsQuery& query) {
  return {.caller = FromWire(query.caller()),
          .name = Short("name", query.name(), kMaxNameOnWire),
          .whole = DigestOf(query.total_bytes(), query.total_hash()),
          .offset = InRange("offset", query.offset(), 0, kMaxWeightsBytes)};
}

AverageJob FromWire(const wire::AverageRequest& request) {
  if (request.members_size() > kMaxMembers || request.weights_size() > kMaxMembers)
    Refuse(Text(request.members_size(), " members and ", request.weights_size(),
                " weights; allowed of each: ", kMaxMembers));
  if (request.method() < wire::AverageRequest::UNIFORM || request.method() > wire::AverageRequest::TRIMMED)
    Refuse(Text("method is ", static_cast<int>(request.method()), "; allowed: 1 to 4"));
  return {.members = {request.members().begin(), request.members().end()},
          .method = static_cast<AverageJob::Method>(request.method() - 1),
          .weights = {request.weights().begin(), request.weights().end()},
          .trim = InRange("trim", request.trim(), 0.0, 0.5),
          .name = Short("name", request.name(), kMaxNameOnWire)};
}

TaskList FromWire(const wire::PostTasksRequest& request) {
  if (request.works_size() > kMaxTasks)
    Refuse(Text("a list of ", request.works_size(), " tasks; allowed: 1 to ", kMaxTasks));
  return {.works = {request.works().begin(), request.works().end()}, .deadline_s = request.deadline_s()};
}

std::vector<double> FromWire(const wire::ReturnTaskRequest& request) {
  if (request.values_size() > static_cast<int>(kMaxTaskValues))
    Refuse(Text("the result has ", request.values_size(), " values; allowed: ", kMaxTaskValues));
  return {request.values().begin(), request.values().end()};
}

WeightsReceipt FromWire(const wire::WeightsReceipt& receipt) {
  if (receipt.held_bytes() < 0) Strange(Text("a receipt for ", receipt.held_bytes(), " bytes"));
  return {receipt.held_bytes(), receipt.complete(), Printable(receipt.flaw(), 8 * kMaxReasonBytes)};
}

AverageProgress FromWire(const wire::AverageReply& reply) {
  if (reply.state() < wire::AverageReply::RUNNING || reply.state() > wire::AverageReply::FAILED)
    Strange(Text("state ", static_cast<int>(reply.state()), " of an average"));
  return {static_cast<AverageProgress::State>(reply.state() - 1), Printable(reply.reason(), 8 * kMaxReasonBytes)};
}

TaskProgress FromWire(const wire::TaskProgress& progress) {
  return {progress.total(), progress.done(), progress.held()};
}

FetchedTask FromWire(const wire::FetchTaskReply& reply) {
  if (reply.state() < wire::FetchTaskReply::GIVEN || reply.state() > wire::FetchTaskReply::NO_LIST)
    Strange(Text("state ", static_cast<int>(reply.state()), " of a task"));
  return {static_cast<FetchedTask::Kind>(reply.state() - 1), {reply.id(), reply.work()}, FromWire(reply.progress())};
}

wire::AverageRequest ToWire(const Caller& caller, const AverageJob& job) {
  wire::AverageRequest out;
  *out.mutable_caller() = ToWire(caller);
  out.mutable_members()->Assign(job.members.begin(), job.members.end());
  out.set_method(static_cast<wire::AverageRequest::Method>(static_cast<int>(job.method) + 1));
  out.mutable_weights()->Assign(job.weights.begin(), job.weights.end());
  out.set_trim(job.trim);
  out.set_name(Printable(job.name, kMaxNameOnWire));
  return out;
}

wire::PostTasksRequest ToWire(const Caller& caller, const TaskList& list) {
  wire::PostTasksRequest out;
  *out.mutable_caller() = ToWire(caller);
  for (const std::string& work : list.works) out.add_works(work);
  out.set_deadline_s(list.deadline_s);
  return out;
}

wire::WeightsReceipt ToWire(const WeightsReceipt& receipt) {
  wire::WeightsReceipt out;
  out.set_held_bytes(receipt.held_bytes);
  out.set_complete(receipt.complete);
  out.set_flaw(Printable(receipt.flaw, 8 * kMaxReasonBytes));
  return out;
}

wire::AverageReply ToWire(const AverageProgress& progress) {
  wire::AverageReply out;
  out.set_state(static_cast<wire::AverageReply::State>(static_cast<int>(progress.state) + 1));
  out.set_reason(Printable(progress.reason, 8 * kMaxReasonBytes));
  return out;
}

wire::TaskProgress ToWire(const TaskProgress& progress) {
  wire::TaskProgress out;
  out.set_total(static_cast<int32_t>(progress.total));
  out.set_done(static_cast<int32_t>(progress.done));
  out.set_held(static_cast<int32_t>(progress.held));
  return out;
}

wire::FetchTaskReply ToWire(const FetchedTask& fetched) {
  wire::FetchTaskReply out;
  out.set_state(static_cast<wire::FetchTaskReply::State>(static_cast<int>(fetched.kind) + 1));
  out.set_id(static_cast<int32_t>(fetched.task.id));
  out.set_work(fetched.task.work);
  *out.mutable_progress() = ToWire(fetched.progress);
  return out;
}

wire::TaskResultsReply ToWire(const Service::TaskResults& results) {
  wire::TaskResultsReply out;
  *out.mutable_progress() = ToWire(results.progress);
  for (const std::vector<double>& values : results.values) {
    out.add_results()->mutable_values()->Assign(values.begin(), values.end());
  }
  return out;
}

}  // namespace basin::coordinator
