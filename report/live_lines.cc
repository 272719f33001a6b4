#include "report/live_lines.h"

#include <ostream>
#include <utility>

namespace basin::report {

void LiveLines::Print(const std::string& line) {
  Erase();
  stream_ << line << '\n';
  Draw();
}

void LiveLines::Show(std::vector<std::string> lines) {
  if (columns_ == 0 || lines == lines_) return;
  Erase();
  lines_ = std::move(lines);
  Draw();
}

void LiveLines::Erase() {
  // Up to the first line of the block, then away with all below.
  if (drawn_ > 0) stream_ << "\x1b[" << drawn_ << "A\r\x1b[J" << std::flush;
  drawn_ = 0;
}

void LiveLines::Draw() {
  if (columns_ > 0) {
    for (const std::string& line : lines_) stream_ << line.substr(0, static_cast<size_t>(columns_) - 1) << '\n';
    drawn_ = lines_.size();
  }
  stream_ << std::flush;
}

}  // namespace basin::report
