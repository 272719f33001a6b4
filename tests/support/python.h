// Python with PyTorch, where a test compares with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/command.h"

namespace basin::test {

/// $BASIN_PYTHON, else the virtual environment's, when it can import torch; empty otherwise. (The environment that launch/setup.sh makes
/// holds LibTorch without what Python needs beside it.)
inline std::string PythonWithTorch() {
  const char* given = std::getenv("BASIN_PYTHON");
  const std::string python = given != nullptr ? given : std::string(BASIN_SOURCE_DIR) + "/.venv/bin/python";
  if (given == nullptr && !std::filesystem::exists(python)) return "";
  return RunCommand({python, "-c", "import torch"}).exit_code == 0 ? python : "";
}

}  // namespace basin::test
