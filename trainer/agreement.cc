#include "trainer/agreement.h"

#include "base/error.h"

namespace basin::trainer {
namespace {

constexpr int64_t kTextBytes = 4096;

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
  const torch::Tensor codes = comm.AllGather(torch::tensor(at::ArrayRef<int64_t>({code}), torch::kInt64)).view({-1});
  int first = 0;
  while (first < comm.size() && codes[first].item<int64_t>() == 0) ++first;
  if (first == comm.size()) return;
  text.resize(kTextBytes, '\0');
  torch::Tensor bytes = torch::from_blob(text.data(), {kTextBytes}, torch::kUInt8).clone();
  comm.Broadcast(bytes, first);
  if (failure) std::rethrow_exception(failure);
  const std::string told(reinterpret_cast<const char*>(bytes.data_ptr<uint8_t>()), kTextBytes);
  Rethrow(codes[first].item<int64_t>(), Text("rank ", first, ": ", told.c_str()));
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
