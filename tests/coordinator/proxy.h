// A wire that can be cut: forwards connections on the loopback to a port, and breaks one after so many bytes of its
// client.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace basin::coordinator {

class Proxy {
 public:
  explicit Proxy(int target_port) : target_port_(target_port), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at = Loopback(0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    socklen_t size = sizeof at;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~Proxy() {
    stopping_ = true;
    acceptor_.join();
    for (std::thread& link : links_) link.join();
    ::close(listener_);
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// The next `times` connections that carry so many bytes, in either direction, break there.
  void CutAfter(int64_t bytes, int times) {
    cut_bytes_ = bytes;
    cuts_left_ = times;
  }
  int cuts_left() const { return cuts_left_; }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
  }

  bool Readable(int a, int b, std::array<pollfd, 2>& ends) const {
    ends = {pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0}};
    while (!stopping_) {
      if (::poll(ends.data(), b < 0 ? 1 : 2, 20) > 0) return true;
    }
    return false;
  }

  void Accept() {
    std::array<pollfd, 2> ends;
    while (Readable(listener_, -1, ends)) {
      const int near = ::accept(listener_, nullptr, nullptr), far = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in to = Loopback(target_port_);
      if (::connect(far, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
        links_.emplace_back([this, near, far] { Forward(near, far); });
      } else {
        ::close(near);
        ::close(far);
      }
    }
  }

  void Forward(int near, int far) {
    std::vector<char> buffer(1 << 16);
    std::array<pollfd, 2> ends;
    int64_t passed = 0;
    for (bool open = true; open && Readable(near, far, ends);) {
      for (const auto& [from, to] : {std::pair(ends[0], far), std::pair(ends[1], near)}) {
        if (!open || from.revents == 0) continue;
        const ssize_t size = ::recv(from.fd, buffer.data(), buffer.size(), 0);
        for (ssize_t sent = 0; open && sent < size;) {
          const ssize_t count = ::send(to, buffer.data() + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
          open = count > 0;
          sent += count;
        }
        passed += size;
        open = open && size > 0 && !(cuts_left_ > 0 && passed > cut_bytes_ && cuts_left_-- > 0);
      }
    }
    // Closed with bytes unread, the socket would take back from the other side what it has not read either.
    for (const int end : {near, far}) ::shutdown(end, SHUT_WR);
    for (const int end : {near, far}) {
      while (Readable(end, -1, ends) && ::recv(end, buffer.data(), buffer.size(), 0) > 0) continue;
      ::close(end);
    }
  }

  const int target_port_, listener_;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> cut_bytes_ = 0;
  std::atomic<int> cuts_left_ = 0;
  std::vector<std::thread> links_;  // touched by the acceptor, and after its end
  std::thread acceptor_;
};

}  // namespace basin::coordinator
