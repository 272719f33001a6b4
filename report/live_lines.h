// A block of lines at the end of a terminal that is drawn anew, with permanent lines scrolling above it.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace basin::report {

/// Where there is no terminal, permanent lines are printed and the block is not. One thread; the stream must outlive it.
class LiveLines {
 public:
  /// columns: of the terminal; longer lines are cut, since one that wraps could not be drawn anew. 0: no terminal.
  LiveLines(std::ostream& stream, int columns) : stream_(stream), columns_(columns) {}
  /// Takes the block away.
  ~LiveLines() { Erase(); }
  LiveLines(const LiveLines&) = delete;
  LiveLines& operator=(const LiveLines&) = delete;

  /// A line that stays.
  void Print(const std::string& line);
  /// The block from now on.
  void Show(std::vector<std::string> lines);

 private:
  void Erase();
  void Draw();

  std::ostream& stream_;
  int columns_;
  std::vector<std::string> lines_;
  size_t drawn_ = 0;  // lines on the screen now
};

}  // namespace basin::report
