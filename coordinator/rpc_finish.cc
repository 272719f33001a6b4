// The gRPC skin of a run's end: weights to and from the store, averages, tasks.
#include <algorithm>
#include <memory>
#include <optional>
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

Rpc::Rpc(coordinator::Service& service, WeightsStore& store, Averaging& averaging)
    : service_(service), store_(store), averaging_(averaging) {
  HandleChunks();
}

void Rpc::HandleChunks() {
  const google::protobuf::ServiceDescriptor& calls = *v1::WeightsChunk::descriptor()->file()->service(0);
  // gRPC knows these as calls with two streams; one that carries one message, as a query does, is the same on the wire.
  MarkMethodStreamed(calls.FindMethodByName("SendWeights")->index(),
                     new grpc::internal::ClientStreamingHandler<Rpc, Chunk, v1::WeightsReceipt>(
                         [](Rpc* rpc, grpc::ServerContext* context, grpc::ServerReader<Chunk>* reader,
                            v1::WeightsReceipt* receipt) {
                           return StatusOfCall([&] { rpc->Receive(*context, *reader, *receipt); });
                         },
                         this));
  MarkMethodStreamed(calls.FindMethodByName("FetchWeights")->index(),
                     new grpc::internal::BidiStreamingHandler<Rpc, v1::WeightsQuery, Chunk>(
                         [](Rpc* rpc, grpc::ServerContext*, Giver* stream) {
                           return StatusOfCall([&] { rpc->Give(*stream); });
                         },
                         this));
}

void Rpc::Receive(grpc::ServerContext& context, grpc::ServerReader<Chunk>& reader, v1::WeightsReceipt& receipt) {
  Chunk chunk;
  if (!reader.Read(&chunk)) Refuse("a stream of weights without a chunk");
  const WeightsHeader header = FromWire(chunk.head);
  service_.Admit(header.caller);
  RequireOwn(header);
  const StreamSeat seat(streams_);
  // A stream whose connection is dead would wait for its next chunk for long.
  const auto incoming = store_.Receive(header.name, header.whole, header.offset, [&context] { context.TryCancel(); });
  do {
    service_.Require(header.caller);
    incoming->AppendParts(chunk.head.offset(), chunk.head.hash(), chunk.data());
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

void Rpc::Give(Giver& stream) {
  v1::WeightsQuery query;
  if (!stream.Read(&query)) Refuse("a request for weights without a query");
  const WeightsHeader header = FromWire(query);
  service_.Admit(header.caller);
  const StreamSeat seat(streams_);
  const std::optional<WeightsStore::Kept> kept = store_.Find(header.name);
  if (!kept) throw Refused(Refused::Why::kNotThere, Text("the coordinator has no file ", header.name, " yet"));
  const auto file = std::make_shared<const base::MappedFile>(kept->path);
  // One that was put in its place meanwhile has another digest; the caller begins anew then.
  if (static_cast<int64_t>(file->bytes().size()) != kept->digest.bytes || header.offset >= kept->digest.bytes)
    Refuse(Text("offset is ", header.offset, "; ", header.name, " has ", kept->digest.bytes, " bytes"));
  Chunk chunk;
  chunk.head.set_name(header.name);
  chunk.head.set_total_bytes(kept->digest.bytes);
  chunk.head.set_total_hash(kept->digest.hash);
  for (int64_t at = header.offset; at < kept->digest.bytes; at += static_cast<int64_t>(chunk.data_bytes())) {
    if (at > header.offset) chunk.head.Clear();
    const Piece piece = PieceAt(file->bytes(), *kept->pieces, at);
    chunk.head.set_offset(at);
    chunk.head.set_hash(piece.hash);
    chunk.SetData(piece.bytes, file);
    if (!stream.Write(chunk)) return;
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
