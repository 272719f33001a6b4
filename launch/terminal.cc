#include "launch/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

namespace basin::launch {
namespace {

Terminal Measure(int descriptor) {
  winsize size{};
  Terminal terminal;
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return terminal;
  if (size.ws_row > 0) terminal.rows = size.ws_row;
  if (size.ws_col > 0) terminal.columns = size.ws_col;
  return terminal;
}

/// mpirun starts the ranks of its own host itself, so it is their parent; it hands their lines on as they are.
std::optional<Terminal> OfMpirun() {
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr) return std::nullopt;
  const std::string link = "/proc/" + std::to_string(getppid()) + "/fd/2";
  std::array<char, 256> target{};
  const ssize_t length = readlink(link.c_str(), target.data(), target.size() - 1);
  const std::string_view path(target.data(), length < 0 ? 0 : static_cast<size_t>(length));
  if (!path.starts_with("/dev/pts/") && !path.starts_with("/dev/tty")) return std::nullopt;
  const int descriptor = open(target.data(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return Terminal{};
  const Terminal terminal = Measure(descriptor);
  close(descriptor);
  return terminal;
}

}  // namespace

std::optional<Terminal> FindTerminal() {
  if (const char* kind = std::getenv("TERM"); kind != nullptr && std::string_view(kind) == "dumb") return std::nullopt;
  if (isatty(STDERR_FILENO) == 1) return Measure(STDERR_FILENO);
  return OfMpirun();
}

}  // namespace basin::launch
