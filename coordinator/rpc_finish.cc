// The gRPC skin of a run's end: weights to and from the store, averages, tasks.
#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/files.h"
#include "coordinator/rpc.h"
#include "coordinator/rpc_status.h"
#include "coordinator/wire_checks.h"
#include "coordinator/wire_finish.h"

namespace basin::coordinator {
namespace {

/// Counts a stream while it lasts.
class StreamSeat {
 public:
  explicit StreamSeat(std::atomic<int>& streams) : streams_(streams) {
    if (++streams_ <= kMaxWeightStreams) return;
    --streams_;
    throw Refused(Refused::Why::kTooMuch,
                  Text(kMaxWeightStreams, " streams of weights are open already; try again later"));
  }
  ~StreamSeat() { --streams_; }
  StreamSeat(const StreamSeat&) = delete;
  StreamSeat& operator=(const StreamSeat&) = delete;

 private:
  std::atomic<int>& streams_;
};

void RequireOwn(const WeightsHeader& header) {
  const std::string own = MemberWeightsName(header.caller.member);
  if (header.name != own)
    Refuse(Text("name is '", header.name, "'; allowed: ", own, ", the weights of member ", header.caller.member,
                " itself"));
}

}  // namespace

grpc::Status Rpc::SendWeights(grpc::ServerContext* context, grpc::ServerReader<v1::WeightsChunk>* reader,
                              v1::WeightsReceipt* receipt) {
  return StatusOfCall([&] { Receive(*context, *reader, *receipt); });
}

void Rpc::Receive(grpc::ServerContext& context, grpc::ServerReader<v1::WeightsChunk>& reader,
                  v1::WeightsReceipt& receipt) {
  v1::WeightsChunk chunk;
  if (!reader.Read(&chunk)) Refuse("a stream of weights without a chunk");
  const WeightsHeader header = FromWire(chunk);
  service_.Admit(header.caller);
  RequireOwn(header);
  const StreamSeat seat(streams_);
  // A stream whose connection is dead would wait for its next chunk for long.
  const auto incoming = store_.Receive(header.name, header.whole, header.offset, [&context] { context.TryCancel(); });
  do {
    service_.Require(header.caller);
    incoming->Append(chunk.offset(), chunk.hash(), std::as_bytes(std::span(chunk.data())));
  } while (reader.Read(&chunk));
  // A broken stream looks like one that ended; what it brought is kept either way.
  service_.Require(header.caller);
  const WeightsReceipt done = incoming->Finish();
  if (done.complete) {
    service_.Note(header.caller.member, Text("the weights of member ", header.caller.member, " are here: ",
                                             done.held_bytes, " bytes", done.flaw.empty() ? "" : "; " + done.flaw));
  }
  receipt = ToWire(done);
}

grpc::Status Rpc::HeldWeights(grpc::ServerContext*, const v1::WeightsQuery* request, v1::WeightsReceipt* receipt) {
  return StatusOfCall([&] {
    const WeightsHeader header = FromWire(*request);
    service_.Admit(header.caller);
    *receipt = ToWire(store_.Held(header.name, header.whole));
  });
}

grpc::Status Rpc::FetchWeights(grpc::ServerContext*, const v1::WeightsQuery* request,
                               grpc::ServerWriter<v1::WeightsChunk>* writer) {
  return StatusOfCall([&] { Give(*request, *writer); });
}

void Rpc::Give(const v1::WeightsQuery& query, grpc::ServerWriter<v1::WeightsChunk>& writer) {
  const WeightsHeader header = FromWire(query);
  service_.Admit(header.caller);
  const StreamSeat seat(streams_);
  const std::optional<WeightsStore::Kept> kept = store_.Find(header.name);
  if (!kept) throw Refused(Refused::Why::kNotThere, Text("the coordinator has no file ", header.name, " yet"));
  const base::MappedFile file(kept->path);
  // One that was put in its place meanwhile has another digest; the caller begins anew then.
  if (static_cast<int64_t>(file.bytes().size()) != kept->digest.bytes || header.offset >= kept->digest.bytes)
    Refuse(Text("offset is ", header.offset, "; ", header.name, " has ", kept->digest.bytes, " bytes"));
  v1::WeightsChunk chunk;
  chunk.set_name(header.name);
  chunk.set_total_bytes(kept->digest.bytes);
  chunk.set_total_hash(kept->digest.hash);
  for (auto rest = file.bytes().subspan(static_cast<size_t>(header.offset)); !rest.empty();) {
    const auto piece = rest.first(std::min(kMaxChunkBytes, rest.size()));
    chunk.set_offset(kept->digest.bytes - static_cast<int64_t>(rest.size()));
    chunk.set_hash(base::Hash64(piece));
    chunk.set_data(piece.data(), piece.size());
    if (!writer.Write(chunk)) return;
    chunk.clear_name();
    chunk.clear_total_bytes();
    chunk.clear_total_hash();
    rest = rest.subspan(piece.size());
  }
}

grpc::Status Rpc::Average(grpc::ServerContext*, const v1::AverageRequest* request, v1::AverageReply* reply) {
  return StatusOfCall([&] {
    const AverageJob job = FromWire(*request);
    service_.Admit(FromWire(request->caller()));
    *reply = ToWire(averaging_.Ask(job, [this](int member) { return service_.IsPresent(member); }));
  });
}

grpc::ServerUnaryReactor* Rpc::PostTasks(grpc::CallbackServerContext* context, const v1::PostTasksRequest* request,
                                         v1::TaskProgress* reply) {
  return Answer(context, [&] { *reply = ToWire(service_.PostTasks(FromWire(request->caller()), FromWire(*request))); });
}

grpc::ServerUnaryReactor* Rpc::FetchTask(grpc::CallbackServerContext* context, const v1::FetchTaskRequest* request,
                                         v1::FetchTaskReply* reply) {
  return Answer(context, [&] { *reply = ToWire(service_.FetchTask(FromWire(request->caller()))); });
}

grpc::ServerUnaryReactor* Rpc::ReturnTask(grpc::CallbackServerContext* context, const v1::ReturnTaskRequest* request,
                                          v1::TaskProgress* reply) {
  return Answer(context, [&] {
    *reply = ToWire(service_.ReturnTask(FromWire(request->caller()), request->id(), FromWire(*request)));
  });
}

grpc::ServerUnaryReactor* Rpc::TaskResults(grpc::CallbackServerContext* context, const v1::TaskResultsRequest* request,
                                           v1::TaskResultsReply* reply) {
  return Answer(context, [&] {
    const int64_t from = InRange("from", int64_t{request->from()}, 0, kMaxTasks);
    *reply = ToWire(service_.ResultsOfTasks(FromWire(request->caller()), from));
  });
}

}  // namespace basin::coordinator
