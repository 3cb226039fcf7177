// What every kernel shares: the table, the targets and bags of a call, and their division among threads.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TIERWISE_X86  // the compiler can build one function for several instruction sets, as isa.h asks it to
#endif

namespace tierwise {

constexpr int64_t kMissing = -1;

// A table of vectors. Rows may lie apart, the values of one do not.
template <typename T>
struct Table {
  const T* data;
  const float* scale;  // int8 only
  int64_t rows, width, stride;

  const T* row(int64_t r) const { return data + r * stride; }
};

// Behaviours of all bags, end to end.
template <typename Row>
struct History {
  const Row* rows;
  int64_t total;
};

inline void check_row(int64_t row, int64_t rows) {
  TORCH_CHECK_INDEX(row >= kMissing && row < rows, "row ", row, " is outside the table of ", rows, " rows");
}

// Targets order[first] to order[first + targets] share the behaviours [low, high) of one bag.
struct Item {
  int64_t first, targets, low, high, work_before;
};

// A call's targets in the order of their bags. Work is counted in pairs, which threads share equally.
struct Work {
  std::vector<Item> items;     // one more at the end, empty, with all the work before it
  std::vector<int64_t> order;  // empty: targets in their own order

  int64_t target(const Item& item, int64_t j) const { return order.empty() ? item.first + j : order[item.first + j]; }
  int64_t total() const { return items.back().work_before; }
};

// Args: bag_index is null where target b has bag b; group is how many targets of one bag an item may hold.
Work divide(const int64_t* offsets, int64_t bags, const int64_t* bag_index, int64_t targets, int64_t group);

// Items of one target each, those of more than `longest` behaviours cut into equal ones, in places that depend on the item
// alone. Those of one target lie side by side.
Work cut(const Work& work, int64_t longest);

// Calls body(scratch, item, low, high, whole) for parts of items, on torch's threads; scratch is a thread's own, made by
// make_scratch(). Parts of one item may go to several threads: then whole is false.
template <typename MakeScratch, typename Body>
void for_parts(const Work& work, MakeScratch&& make_scratch, Body&& body) {
  constexpr int64_t kLeast = 4096;  // pairs for which another thread pays: some ten microseconds of work
  const int64_t total = work.total();
  const int64_t tasks = std::clamp<int64_t>(total / kLeast, 1, at::get_num_threads());
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    const int64_t from = total * begin / tasks, to = total * end / tasks;
    auto scratch = make_scratch();
    auto item = std::upper_bound(work.items.begin(), work.items.end(), from,
                                 [](int64_t at, const Item& i) { return at < i.work_before; }) - 1;
    for (; item->targets > 0 && item->work_before < to; ++item) {
      const int64_t low = item->low + std::max<int64_t>(from - item->work_before, 0) / item->targets;
      const int64_t high = std::min(item->high, item->low + (to - item->work_before) / item->targets);
      if (low < high) body(scratch, *item, low, high, low == item->low && high == item->high);
    }
  });
}

// As for_parts, but calls body(scratch, item) for whole items, each on the thread whose share its middle lies in: what an item
// gives is summed in one order, whatever the number of threads.
template <typename MakeScratch, typename Body>
void for_items(const Work& work, MakeScratch&& make_scratch, Body&& body) {
  constexpr int64_t kLeast = 2048;
  const int64_t total = work.total(), items = static_cast<int64_t>(work.items.size()) - 1;
  const int64_t tasks = std::clamp<int64_t>(std::min(total / kLeast, items), 1, at::get_num_threads());
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    auto scratch = make_scratch();
    for (int64_t i = 0; i < items; ++i) {
      const int64_t twice = work.items[i].work_before + work.items[i + 1].work_before;
      const int64_t task = std::min(twice * tasks / std::max<int64_t>(2 * total, 1), tasks - 1);
      if (begin <= task && task < end) body(scratch, work.items[i]);
    }
  });
}

// to[i] += part[i], where other threads may add to the same numbers.
inline void add_shared(float* to, const float* part, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float before, after;
    __atomic_load(to + i, &before, __ATOMIC_RELAXED);
    do {
      after = before + part[i];
    } while (!__atomic_compare_exchange(to + i, &before, &after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  }
}

// Raises where offsets [bags + 1] are not those of bags of a history of `total`, or as many bags as targets are wanted and there
// are not. chosen: how many bags targets choose from bag_index; -1 where target b has bag b.
void check_offsets(const at::Tensor& offsets, int64_t chosen, int64_t targets, int64_t total);

enum class Isa { portable, avx2, avx512, amx };

// The widest instruction set of this machine that was compiled in; TIERWISE_ISA=portable|avx2|avx512|amx takes no wider.
Isa isa();

// A call's table, rows, offsets and bags, in the layout that kernels want. Keeps what had to be copied.
struct Call {
  at::Tensor table, scale, targets, history, offsets, bag_index;

  Call(const at::Tensor& table, const std::optional<at::Tensor>& scale, const at::Tensor& target_rows,
       const at::Tensor& history_rows, const at::Tensor& offsets, const std::optional<at::Tensor>& bag_index);

  Work divide(int64_t group) const;

  // Calls f(Table<T>, History<Row>) with the table's and the history's types.
  template <typename F>
  void with_types(F&& f) const {
    AT_DISPATCH_INDEX_TYPES(history.scalar_type(), "native kernel", [&] {
      const History<index_t> rows{history.const_data_ptr<index_t>(), history.numel()};
      const float* scales = scale.defined() ? scale.const_data_ptr<float>() : nullptr;
      const auto with = [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        f(Table<T>{data, scales, table.size(0), table.size(1), table.stride(0)}, rows);
      };
      switch (table.scalar_type()) {
        case at::kFloat: return with(table.const_data_ptr<float>());
        case at::kHalf: return with(table.const_data_ptr<c10::Half>());
        case at::kBFloat16: return with(table.const_data_ptr<c10::BFloat16>());
        case at::kChar: return with(table.const_data_ptr<int8_t>());
        default: TORCH_CHECK_TYPE(false, "native kernel: table of ", table.scalar_type());
      }
    });
  }
};

}  // namespace tierwise
