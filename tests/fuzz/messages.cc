// Calls on a coordinator, one after another: each answered or refused, and the membership can always be shown. An input is a
// sequence of (kind, length, message as on the wire); time passes between them.
#include <algorithm>
#include <chrono>

#include <google/protobuf/stubs/logging.h>

#include "base/clock.h"
#include "base/error.h"
#include "coordinator/service.h"
#include "coordinator/wire.h"
#include "tests/fuzz/target.h"

namespace {

using namespace basin::coordinator;

template <typename Message, typename Handle>
void Call(std::string_view bytes, const Handle& handle) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;  // gRPC refuses it before us
  try {
    handle(message);
  } catch (const Refused&) {  // by the coordinator
  } catch (const basin::CommError&) {  // by a client
  }
}

void Call(Service& service, int kind, std::string_view bytes) {
  switch (kind) {
    case 0: return Call<wire::JoinRequest>(bytes, [&](const auto& m) { service.Handle(FromWire(m)); });
    case 1: return Call<wire::HeartbeatRequest>(bytes, [&](const auto& m) { service.Handle(FromWire(m)); });
    case 2: return Call<wire::LeaveRequest>(bytes, [&](const auto& m) { service.Handle(FromWire(m)); });
    case 3:
      return Call<wire::ReportRequest>(bytes, [&](const auto& m) { service.Report(FromWire(m.caller()), FromWire(m)); });
    case 4:
      return Call<wire::PutRequest>(bytes, [&](const auto& m) { service.Put(FromWire(m.caller()), m.key(), m.value()); });
    case 5: return Call<wire::GetRequest>(bytes, [&](const auto& m) { service.Get(FromWire(m.caller()), m.key()); });
    case 6: return Call<wire::Directive>(bytes, [](const auto& m) { FromWire(m); });
    default: return Call<wire::StatusReply>(bytes, [](const auto& m) { FromWire(m); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  [[maybe_unused]] static const auto silenced = google::protobuf::SetLogHandler(nullptr);  // it reports each text that is not UTF-8
  basin::base::ManualClock clock;
  Service service({}, clock);
  std::string_view rest = basin::fuzz::Text(data, size);
  while (rest.size() >= 2) {
    const auto kind = static_cast<unsigned char>(rest[0]);
    const size_t length = std::min<size_t>(static_cast<unsigned char>(rest[1]), rest.size() - 2);
    Call(service, kind % 8, rest.substr(2, length));
    clock.Advance(std::chrono::milliseconds(kind / 8 * 250));
    service.Tick();
    rest.remove_prefix(2 + length);
  }
  const Status status = service.status();
  for (const auto& member : status.members) basin::fuzz::Require(member.id >= 0);
  return 0;
}
