// Files over bare TCP sockets of the loopback, one connection a file: the measure for what goes through a protocol.
#pragma once

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace basin::bench {

/// work(k) for k < count, each on a thread.
inline void AtOnce(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int k = 0; k < count; ++k) threads.emplace_back([&, k] { work(k); });
  for (std::thread& thread : threads) thread.join();
}

/// What is done with the bytes. Each kind does what the one before it does, too.
enum class Care {
  kDropped,  ///< nothing: what the loopback gives
  kChecked,  ///< sender and receiver hash each piece of 512 KiB once: the least that a checked stream does
  kKept,     ///< the receiver writes and syncs a file: the least that is asked of the coordinator
};

/// The receiving end, in a process of its own: one thread a connection. It lives until the object ends.
class BareSockets {
 public:
  /// Kept files are named bare0, bare1, ... in `folder`.
  BareSockets(int connections, Care care, std::filesystem::path folder)
      : care_(care), folder_(std::move(folder)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    to_.sin_family = AF_INET;
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof to_;
    BASIN_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&to_), size) == 0 && ::listen(listener_, 64) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&to_), &size);
    process_ = ::fork();
    BASIN_CHECK(process_ >= 0);
    if (process_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    AtOnce(connections, [this](int k) { Receive(k); });
    for (;;) ::pause();  // its time on the processor is still to be asked for
  }
  ~BareSockets() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    ::close(listener_);
  }
  BareSockets(const BareSockets&) = delete;
  BareSockets& operator=(const BareSockets&) = delete;

  /// Returns when the receiver has done with all of it what is to be done.
  void Send(const std::filesystem::path& path) const {
    const base::MappedFile file(path);
    if (care_ >= Care::kChecked) HashPieces(file.bytes());
    const int to = ::socket(AF_INET, SOCK_STREAM, 0);
    BASIN_CHECK(::connect(to, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) == 0);
    for (auto rest = file.bytes(); !rest.empty();) {
      const ssize_t sent = ::send(to, rest.data(), std::min(rest.size(), kPiece), MSG_NOSIGNAL);
      BASIN_CHECK(sent > 0);
      rest = rest.subspan(static_cast<size_t>(sent));
    }
    ::shutdown(to, SHUT_WR);
    char answer = 0;
    BASIN_CHECK(::recv(to, &answer, 1, 0) == 1);
    ::close(to);
  }
  pid_t process() const { return process_; }

 private:
  static constexpr size_t kPiece = 512 << 10;

  static void HashPieces(std::span<const std::byte> bytes) {
    uint64_t all = 0;
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kPiece)))
      all ^= base::Hash64(bytes.first(std::min(bytes.size(), kPiece)));
    BASIN_CHECK(all != 1, "a chance of 2^-64");  // so that the compiler leaves none out
  }

  void Receive(int k) const {
    const int from = ::accept(listener_, nullptr, nullptr);
    std::vector<std::byte> buffer(kPiece);
    std::unique_ptr<base::AtomicFile> file;
    if (care_ == Care::kKept)
      file = std::make_unique<base::AtomicFile>(folder_ / Text("bare", k), base::AtomicFile::Hashing::kNone);
    for (size_t filled = 0;;) {
      const ssize_t size = ::recv(from, buffer.data() + filled, kPiece - filled, 0);
      filled += static_cast<size_t>(std::max<ssize_t>(size, 0));
      if (filled < kPiece && size > 0 && care_ != Care::kDropped) continue;
      const auto piece = std::span(buffer).first(filled);
      if (care_ >= Care::kChecked) HashPieces(piece);
      if (file != nullptr) file->Write(piece);
      filled = 0;
      if (size <= 0) break;
    }
    if (file != nullptr) file->Commit();
    BASIN_CHECK(::send(from, "x", 1, MSG_NOSIGNAL) == 1);  // all of it is here
    ::close(from);
  }

  const Care care_;
  const std::filesystem::path folder_;
  const int listener_;
  sockaddr_in to_{};
  pid_t process_ = -1;
};

}  // namespace basin::bench
