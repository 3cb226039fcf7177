// SimTier on CPU: gather, dot product, tier and count in one pass; neither vectors nor similarities are stored.

#include <torch/library.h>

#include "work.h"

namespace tierwise {
constexpr int64_t kTogether = 6;  // targets that share the registers of one block
}
#define TIERWISE_LOOPS "simtier.inc"
#include "isa.h"

namespace tierwise {
namespace {

constexpr int64_t kTransposeFrom = 3;         // targets of one bag from which transposing its behaviours pays
constexpr int64_t kScratchBytes = 20 << 10;   // of queries, and of counts, that a thread holds for the shared path

// Targets of one bag that are counted together.
int64_t group_size(int64_t width, int64_t tiers) {
  const int64_t fits = kScratchBytes / static_cast<int64_t>(sizeof(float)) / std::max(width, tiers);
  return std::max<int64_t>(fits / kTogether, 1) * kTogether;
}

// A thread's own memory.
struct Scratch {
  std::vector<float> queries, scales, block;
  std::vector<int32_t> counts;
};

// counts += part, which becomes zero
void flush(int32_t* part, int64_t tiers, float* counts, bool whole) {
  for (int64_t n = 0; n < tiers; ++n) {
    if (part[n] == 0) continue;
    const float add = static_cast<float>(part[n]);
    part[n] = 0;
    if (whole) {
      counts[n] += add;
    } else {
      add_shared(counts + n, &add, 1);  // whole numbers: their order does not matter
    }
  }
}

template <typename T, typename Row>
void count_bags(const Table<T>& table, const History<Row>& history, const Work& work, int64_t group,
                const int64_t* target_rows, int64_t tiers, float* out) {
  const Isa kind = isa();
  const int64_t width = table.width;
  const auto make_scratch = [&] {
    Scratch s;
    s.queries.resize((work.order.empty() ? 1 : group) * width);
    s.scales.resize(work.order.empty() ? 0 : group);
    s.counts.resize((work.order.empty() ? 1 : group) * tiers, 0);
    return s;
  };
  for_parts(work, make_scratch, [&](Scratch& s, const Item& item, int64_t low, int64_t high, bool whole) {
    if (item.targets < kTransposeFrom) {
      for (int64_t j = 0; j < item.targets; ++j) {
        const int64_t b = work.target(item, j), row = target_rows[b];
        if (row == kMissing) continue;
        portable::copy_row(table, row, 1.0f, s.queries.data());
        TIERWISE_CALL(kind, count_one(table, history, row, low, high, tiers, s.queries.data(), s.counts.data()))
        flush(s.counts.data(), tiers, out + b * tiers, whole);
      }
      return;
    }
    s.block.resize(portable::kBlock * width);
    std::fill(s.queries.begin(), s.queries.end(), 0.0f);
    for (int64_t j = 0; j < item.targets; ++j) {
      const int64_t row = target_rows[work.target(item, j)];
      if (row == kMissing) continue;
      portable::copy_row(table, row, 1.0f, s.queries.data() + j * width);
      s.scales[j] = portable::scale_of(table, row);
    }
    TIERWISE_CALL(kind, count_shared(table, history, item.targets, low, high, tiers, s.queries.data(), s.scales.data(),
                                     s.block.data(), s.counts.data()))
    for (int64_t j = 0; j < item.targets; ++j) {
      const int64_t b = work.target(item, j);
      int32_t* part = s.counts.data() + j * tiers;
      if (target_rows[b] == kMissing) std::fill(part, part + tiers, 0);
      flush(part, tiers, out + b * tiers, whole);
    }
  });
}

at::Tensor simtier(const at::Tensor& table, const std::optional<at::Tensor>& scale, const at::Tensor& target_rows,
                   const at::Tensor& history_rows, const at::Tensor& offsets,
                   const std::optional<at::Tensor>& bag_index, int64_t num_tiers) {
  const Call call(table, scale, target_rows, history_rows, offsets, bag_index);
  const int64_t group = group_size(table.size(1), num_tiers);
  const Work work = call.divide(group);
  at::Tensor out = at::zeros({target_rows.numel(), num_tiers}, table.options().dtype(at::kFloat));
  call.with_types([&](const auto& rows, const auto& history) {
    count_bags(rows, history, work, group, call.targets.const_data_ptr<int64_t>(), num_tiers,
               out.mutable_data_ptr<float>());
  });
  return out;
}

}  // namespace
}  // namespace tierwise

TORCH_LIBRARY_FRAGMENT(recsys_native, m) {
  m.def(
      "simtier(Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, Tensor offsets, "
      "Tensor? bag_index, int num_tiers) -> Tensor");
}

TORCH_LIBRARY_IMPL(recsys_native, CPU, m) { m.impl("simtier", &tierwise::simtier); }
