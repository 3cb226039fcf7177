// The limit of every kernel here: a loop that reads the rows of a history and does nothing else with them.

#include <torch/library.h>

#include "work.h"

#define TIERWISE_LOOPS "read_rows.inc"
#include "isa.h"

namespace tierwise {
namespace {

// A number that depends on every byte of every row, so that no read can be left out.
at::Tensor read_rows(const at::Tensor& table, const at::Tensor& history_rows) {
  const at::Tensor none = at::empty({0}, at::kLong), offsets = at::zeros({1}, at::kLong);
  const Call call(table, std::nullopt, none, history_rows, offsets, std::nullopt);
  at::Tensor out = at::zeros({at::get_num_threads()}, at::kFloat);
  float* sums = out.mutable_data_ptr<float>();
  const Isa kind = isa();
  call.with_types([&](const auto& rows, const auto& history) {
    const int64_t tasks = 16 * at::get_num_threads();
    at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
      const int64_t low = history.total * begin / tasks, high = history.total * end / tasks;
      TIERWISE_CALL(kind, read_span(rows, history, low, high, sums + at::get_thread_num()))
    });
  });
  return out.sum();
}

}  // namespace
}  // namespace tierwise

TORCH_LIBRARY_FRAGMENT(recsys_native, m) { m.def("read_rows(Tensor table, Tensor history_rows) -> Tensor"); }

TORCH_LIBRARY_IMPL(recsys_native, CPU, m) { m.impl("read_rows", &tierwise::read_rows); }
