// Whether somebody looks at standard error, also where mpirun stands between.
#pragma once

#include <optional>

namespace basin::launch {

struct Terminal {
  int rows = 24, columns = 80;
};

/// The terminal behind standard error: this process's own or, under mpirun, which gives its ranks pipes, that of the parent process. None
/// when it is a file or a pipe, or TERM is "dumb".
std::optional<Terminal> FindTerminal();

}  // namespace basin::launch
