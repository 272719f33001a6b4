// The text of an expected exception.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace basin::test {

/// Runs `action` and returns what() of the Expected that it throws; a test failure when it throws another type or none.
template <typename Expected, typename Action>
std::string MessageOf(Action action) {
  try {
    action();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "an exception of another type: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace basin::test
