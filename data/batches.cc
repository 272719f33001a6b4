#include "data/batches.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/seed.h"

namespace basin::data {

Batches::Batches(int64_t num_examples, int64_t batch_size, uint64_t run_seed, int64_t member)
    : num_examples_(num_examples), batch_size_(batch_size), run_seed_(run_seed), member_(member) {
  if (batch_size < 1) {
    throw ConfigError(Text("train.batch_size is ", batch_size, "; it must be at least 1"));
  }
  BASIN_CHECK(num_examples >= 1, "a split of ", num_examples, " examples has no batches");
  BASIN_CHECK(member >= 0, "member ", member);
}

int64_t Batches::batches_per_epoch() const { return std::max<int64_t>(1, num_examples_ / batch_size_); }

torch::Tensor Batches::Next() {
  // Drawn when the first batch is wanted, so that the end of the last epoch costs nothing. A fresh tensor each time:
  // batches handed out earlier are views of the old one.
  if (cursor_.batch == 0) Shuffle();
  const int64_t size = std::min(batch_size_, num_examples_);
  torch::Tensor indices = order_.narrow(0, cursor_.batch * size, size);
  if (++cursor_.batch == batches_per_epoch()) cursor_ = {.epoch = cursor_.epoch + 1, .batch = 0};
  return indices;
}

void Batches::Seek(const Cursor& cursor) {
  if (cursor.epoch < 0 || cursor.batch < 0 || cursor.batch >= batches_per_epoch()) {
    throw DataError(Text("the saved data cursor says epoch ", cursor.epoch, ", batch ", cursor.batch, "; with ",
                         num_examples_, " examples and batches of ", batch_size_,
                         " the epoch must be at least 0 and the batch in [0, ", batches_per_epoch(),
                         "): it was saved with another data set or batch size"));
  }
  cursor_ = cursor;
  if (cursor_.batch > 0) Shuffle();
}

void Batches::Shuffle() {
  const std::vector<int64_t> order = base::RandomPermutation(
      num_examples_, {.run_seed = run_seed_, .purpose = base::Purpose::kDataOrder,
                      .a = static_cast<uint64_t>(cursor_.epoch), .b = static_cast<uint64_t>(member_)});
  order_ = torch::empty({num_examples_}, torch::kInt64);
  std::copy(order.begin(), order.end(), order_.mutable_data_ptr<int64_t>());
}

}  // namespace basin::data
