// Work in pieces that others may share: merge/ knows no ranks, who calls it does.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace basin::merge {

/// One of a number of tasks, a pure function of its number: the same bits whoever does it.
using Task = std::function<std::vector<double>(int64_t task)>;
/// Has each of `count` tasks done by somebody and returns the `values` numbers of each in the order of the tasks, everywhere alike.
using TaskShare = std::function<std::vector<std::vector<double>>(int64_t count, int64_t values, const Task& task)>;

/// All of them here, one after another.
inline TaskShare DoneHere() {
  return [](int64_t count, int64_t /*values*/, const Task& task) {
    std::vector<std::vector<double>> results;
    for (int64_t t = 0; t < count; ++t) results.push_back(task(t));
    return results;
  };
}

}  // namespace basin::merge
