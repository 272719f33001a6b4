// Calls on a coordinator, one after another: each answered or refused, and the membership can always be shown. An input
// is a sequence of (kind, length, message as on the wire); time passes between them.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <google/protobuf/stubs/logging.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "coordinator/chunk.h"
#include "coordinator/service.h"
#include "coordinator/weights_store.h"
#include "coordinator/wire_checks.h"
#include "coordinator/wire_finish.h"
#include "tests/fuzz/target.h"

namespace {

using namespace basin::coordinator;

template <typename Message, typename Handle>
void Call(std::string_view bytes, const Handle& handle) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;  // gRPC refuses it before us
  try {
    handle(message);
  } catch (const Refused&) {           // by the coordinator
  } catch (const basin::CommError&) {  // by a client
  }
}

/// The coordinator's own parser of chunks, over bytes that come in pieces, takes what protobuf's takes and reads the same.
void ReadBothWays(std::string_view bytes) {
  constexpr size_t kPiece = 7;
  std::vector<grpc::Slice> pieces;
  for (size_t at = 0; at < bytes.size(); at += kPiece) pieces.emplace_back(std::string(bytes.substr(at, kPiece)));
  grpc::ByteBuffer buffer(pieces.data(), pieces.size());
  Chunk ours;
  wire::WeightsChunk theirs;
  const bool taken = grpc::SerializationTraits<Chunk, void>::Deserialize(&buffer, &ours).ok();
  BASIN_CHECK(taken == theirs.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())), "one parser took it");
  if (!taken) return;
  std::string data;
  for (const auto& part : ours.data()) data.append(reinterpret_cast<const char*>(part.data()), part.size());
  BASIN_CHECK(data == theirs.data(), "other data");
  theirs.clear_data();
  BASIN_CHECK(ours.head.SerializeAsString() == theirs.SerializeAsString(), "another head");
}

/// A stream of one chunk.
void Receive(Service& service, WeightsStore& store, const wire::WeightsChunk& chunk) {
  const WeightsHeader header = FromWire(chunk);
  service.Admit(header.caller);
  const auto stream = store.Receive(MemberWeightsName(header.caller.member), header.whole, header.offset, [] {});
  stream->Append(chunk.offset(), chunk.hash(), std::as_bytes(std::span(chunk.data())));
  stream->Finish();
}

void Find(Service& service, WeightsStore& store, const wire::WeightsQuery& query) {
  const WeightsHeader header = FromWire(query);
  service.Admit(header.caller);
  store.Held(header.name, header.whole);
  store.Find(header.name);
}

void CallAtTheEnd(Service& service, WeightsStore& store, int kind, std::string_view bytes) {
  switch (kind) {
    case 8:
      ReadBothWays(bytes);
      return Call<wire::WeightsChunk>(bytes, [&](const auto& m) { Receive(service, store, m); });
    case 9: return Call<wire::WeightsQuery>(bytes, [&](const auto& m) { Find(service, store, m); });
    case 10: return Call<wire::AverageRequest>(bytes, [](const auto& m) { FromWire(m.caller()), FromWire(m); });
    case 11:
      return Call<wire::PostTasksRequest>(bytes,
                                          [&](const auto& m) { service.PostTasks(FromWire(m.caller()), FromWire(m)); });
    case 12:
      return Call<wire::FetchTaskRequest>(bytes, [&](const auto& m) { service.FetchTask(FromWire(m.caller())); });
    case 13:
      return Call<wire::ReturnTaskRequest>(
          bytes, [&](const auto& m) { service.ReturnTask(FromWire(m.caller()), m.id(), FromWire(m)); });
    case 14:
      return Call<wire::TaskResultsRequest>(bytes, [&](const auto& m) {
        service.ResultsOfTasks(FromWire(m.caller()), InRange("from", int64_t{m.from()}, 0, kMaxTasks));
      });
    default:
      Call<wire::AverageReply>(bytes, [](const auto& m) { FromWire(m); });
      Call<wire::WeightsReceipt>(bytes, [](const auto& m) { FromWire(m); });
      Call<wire::FetchTaskReply>(bytes, [](const auto& m) { FromWire(m); });
  }
}

void Call(Service& service, int kind, std::string_view bytes) {
  switch (kind) {
    case 0: return Call<wire::JoinRequest>(bytes, [&](const auto& m) { service.Handle(FromWire(m)); });
    case 1: return Call<wire::HeartbeatRequest>(bytes, [&](const auto& m) { service.Handle(FromWire(m)); });
    case 2: return Call<wire::LeaveRequest>(bytes, [&](const auto& m) { service.Handle(FromWire(m)); });
    case 3:
      return Call<wire::ReportRequest>(bytes,
                                       [&](const auto& m) { service.Report(FromWire(m.caller()), FromWire(m)); });
    case 4:
      return Call<wire::PutRequest>(bytes,
                                    [&](const auto& m) { service.Put(FromWire(m.caller()), m.key(), m.value()); });
    case 5: return Call<wire::GetRequest>(bytes, [&](const auto& m) { service.Get(FromWire(m.caller()), m.key()); });
    case 6: return Call<wire::Directive>(bytes, [](const auto& m) { FromWire(m); });
    default: return Call<wire::StatusReply>(bytes, [](const auto& m) { FromWire(m); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  [[maybe_unused]] static const auto silenced =
      google::protobuf::SetLogHandler(nullptr);  // it reports each text that is not UTF-8
  basin::base::ManualClock clock;
  Service service({}, clock);
  static const basin::base::TemporaryFolder folder;
  std::filesystem::remove_all(folder.path() / "members");
  WeightsStore store(folder.path());
  std::string_view rest = basin::fuzz::Text(data, size);
  while (rest.size() >= 2) {
    const auto kind = static_cast<unsigned char>(rest[0]);
    const size_t length = std::min<size_t>(static_cast<unsigned char>(rest[1]), rest.size() - 2);
    if (kind % 16 < 8) {
      Call(service, kind % 16, rest.substr(2, length));
    } else {
      CallAtTheEnd(service, store, kind % 16, rest.substr(2, length));
    }
    clock.Advance(std::chrono::milliseconds(kind / 16 * 250));
    service.Tick();
    rest.remove_prefix(2 + length);
  }
  for (const auto& event : service.TakeEvents()) basin::fuzz::Require(event.action.text.size() <= 16 * kMaxReasonBytes);
  const Status status = service.status();
  for (const auto& member : status.members) basin::fuzz::Require(member.id >= 0);
  return 0;
}
