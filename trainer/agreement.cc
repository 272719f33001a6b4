#include "trainer/agreement.h"

#include <algorithm>

#include "base/error.h"

namespace basin::trainer {
namespace {

[[noreturn]] void Rethrow(int64_t code, const std::string& text) {
  if (code == 2) throw ConfigError(text);
  if (code == 3) throw DataError(text);
  if (code == 4) throw CommError(text);
  throw CheckFailed(text);
}

}  // namespace

void OnAllRanks(comm::Communicator& comm, const std::function<void()>& step) {
  std::exception_ptr failure;
  std::string text;
  int64_t code = 0;
  try {
    step();
  } catch (const std::exception& e) {
    failure = std::current_exception();
    code = ExitCode(e);
    text = e.what();
  }
  const torch::Tensor own = torch::tensor(at::ArrayRef<int64_t>({code}), torch::kInt64).to(comm.device());
  const torch::Tensor codes = comm.AllGather(own).view({-1}).to(torch::kCPU);
  int first = 0;
  while (first < comm.size() && codes[first].item<int64_t>() == 0) ++first;
  if (first == comm.size()) return;
  BroadcastText(comm, text, first);
  if (failure) std::rethrow_exception(failure);
  Rethrow(codes[first].item<int64_t>(), Text("rank ", first, ": ", text));
}

void BroadcastText(comm::Communicator& comm, std::string& text, int root) {
  torch::Tensor size = torch::tensor(at::ArrayRef<int64_t>({static_cast<int64_t>(text.size())}), torch::kInt64).to(comm.device());
  comm.Broadcast(size, root);
  text.resize(static_cast<size_t>(size.item<int64_t>()));
  torch::Tensor bytes =
      torch::from_blob(text.data(), {static_cast<int64_t>(text.size())}, torch::kUInt8).clone().to(comm.device());
  comm.Broadcast(bytes, root);
  bytes = bytes.to(torch::kCPU);
  std::copy_n(reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), text.size(), text.begin());
}

int ExitCode(const std::exception& failure) {
  if (dynamic_cast<const ConfigError*>(&failure) != nullptr) return 2;
  if (dynamic_cast<const DataError*>(&failure) != nullptr) return 3;
  if (dynamic_cast<const CommError*>(&failure) != nullptr) return 4;
  if (dynamic_cast<const Interrupted*>(&failure) != nullptr) return 130;
  return 1;
}

std::string Describe(const std::exception& failure) {
  switch (ExitCode(failure)) {
    case 2: return Text("config: ", failure.what());
    case 3: return Text("data: ", failure.what());
    case 4: return Text("comm: ", failure.what());
    case 130: return failure.what();
    default: return Text("internal error (please report): ", failure.what());
  }
}

}  // namespace basin::trainer
