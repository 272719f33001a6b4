#include "merge/relu_listener.h"

#include <string_view>
#include <utility>

#include "base/error.h"

namespace basin::merge {
namespace {

// LibTorch takes plain functions, so what they speak to must be found by the thread.
thread_local const std::function<void(const torch::Tensor&)>* listening = nullptr;

std::unique_ptr<at::ObserverContext> Begin(const at::RecordFunction&) { return nullptr; }

void End(const at::RecordFunction& record, at::ObserverContext*) {
  const std::string_view name = record.name();
  if (listening == nullptr || (name != "aten::relu_" && name != "aten::relu")) return;
  const auto& outputs = record.outputs();
  if (outputs.empty() || !outputs[0].isTensor()) return;
  const at::DisableRecordFunctionGuard quiet;  // the listener's own operators are nobody's business
  (*listening)(outputs[0].toTensor());
}

}  // namespace

ReluListener::ReluListener(std::function<void(const torch::Tensor&)> see) : see_(std::move(see)) {
  BASIN_CHECK(listening == nullptr, "two listeners on one thread");
  listening = &see_;
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(Begin, End).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
}

ReluListener::~ReluListener() {
  at::removeCallback(handle_);
  listening = nullptr;
}

}  // namespace basin::merge
