// SimTier on CPU: gather, dot product, tier and count in one pass; vectors are never stored, similarities where they are
// asked for.

#include <torch/library.h>

#include "work.h"

namespace tierwise {

// What a thread holds of targets that share a bag, 16 to a panel.
struct Group {
  std::vector<float> panels, scales, rows;
  std::vector<int32_t> waiting, counts, known;  // known: -1 where a lane has a target, else 0
  std::vector<float*> cosines;  // where each target's go; empty where nobody wants them
};

}  // namespace tierwise

#define TIERWISE_LOOPS "simtier.inc"
#define TIERWISE_TILES
#include "isa.h"

namespace tierwise {
namespace {

constexpr int64_t kSharedFrom = 5;           // targets of one bag from which a panel pays
constexpr int64_t kPanel = portable::kLanes;
constexpr int64_t kPanelBytes = 48 << 10;    // that a thread holds

// Targets of one bag that are counted together.
int64_t group_size(int64_t width, int64_t tiers) {
  const int64_t fits = kPanelBytes / static_cast<int64_t>(sizeof(float)) / std::max(width, tiers);
  return std::max<int64_t>(fits / kPanel, 1) * kPanel;
}

// A thread's own memory.
struct Scratch {
  std::vector<float> query;
  std::vector<int32_t> counts;
  std::vector<int64_t> rows;
  Group group;
};

// counts += part, whose numbers lie `step` apart
void add(const int32_t* part, int64_t step, int64_t tiers, float* counts, bool whole) {
  for (int64_t n = 0; n < tiers; ++n) {
    const float found = static_cast<float>(part[n * step]);
    if (found == 0) continue;
    if (whole) {
      counts[n] += found;
    } else {
      add_shared(counts + n, &found, 1);  // whole numbers: their order does not matter
    }
  }
}

// Where the cosines of a call go: of target b and its bag's behaviours side by side from to[begins[b]].
struct Cosines {
  std::vector<int64_t> begins;
  float* to = nullptr;  // null where nobody wants them

  Cosines(const Call& call, const std::optional<at::Tensor>& out) {
    if (!out) return;
    const int64_t* offsets = call.offsets.const_data_ptr<int64_t>();
    int64_t total = call.history.numel();
    if (!call.bag_index.defined()) {
      begins.assign(offsets, offsets + call.targets.numel());
    } else {
      const int64_t* bags = call.bag_index.const_data_ptr<int64_t>();  // divide() has checked them
      total = 0;
      for (int64_t b = 0; b < call.targets.numel(); ++b) {
        begins.push_back(total);
        total += offsets[bags[b] + 1] - offsets[bags[b]];
      }
    }
    TORCH_CHECK_VALUE(out->is_contiguous() && out->scalar_type() == at::kFloat && out->numel() == total,
                      "cosines have ", out->numel(), " numbers, not ", total, " of float32 side by side");
    to = out->mutable_data_ptr<float>();
  }

  // Those of target b and the behaviours from `low` on, of a bag that begins at `begin`
  float* at(int64_t b, int64_t begin, int64_t low) const {
    return to == nullptr ? nullptr : to + begins[b] + (low - begin);
  }
};

template <typename T, typename Row>
void count_bags(const Table<T>& table, const History<Row>& history, const Work& work, const int64_t* target_rows,
                int64_t tiers, float* out, const Cosines& cosines) {
  const Isa kind = isa();
  const auto make_scratch = [&] {
    Scratch s;
    s.query.resize(table.width);
    s.counts.resize(tiers);
    return s;
  };
  for_parts(work, make_scratch, [&](Scratch& s, const Item& item, int64_t low, int64_t high, bool whole) {
    if (item.targets < kSharedFrom) {
      for (int64_t j = 0; j < item.targets; ++j) {
        const int64_t b = work.target(item, j), row = target_rows[b];
        if (row == kMissing) continue;
        portable::copy_row(table, row, 1.0f, s.query.data());
        std::fill(s.counts.begin(), s.counts.end(), 0);
        TIERWISE_CALL(kind, count_one(table, history, row, low, high, tiers, s.query.data(), s.counts.data(),
                                      cosines.at(b, item.low, low)))
        add(s.counts.data(), 1, tiers, out + b * tiers, whole);
      }
      return;
    }
    s.rows.resize(item.targets);
    for (int64_t j = 0; j < item.targets; ++j) s.rows[j] = target_rows[work.target(item, j)];
    if (cosines.to != nullptr) {
      s.group.cosines.assign((item.targets + kPanel - 1) / kPanel * kPanel, nullptr);
      for (int64_t j = 0; j < item.targets; ++j)
        if (s.rows[j] != kMissing) s.group.cosines[j] = cosines.at(work.target(item, j), item.low, low);
    }
    TIERWISE_CALL(kind, count_shared(table, history, s.rows.data(), item.targets, low, high, tiers, s.group))
    for (int64_t j = 0; j < item.targets; ++j) {
      if (s.rows[j] == kMissing) continue;
      const int32_t* part = s.group.counts.data() + j / kPanel * kPanel * tiers + j % kPanel;
      add(part, kPanel, tiers, out + work.target(item, j) * tiers, whole);
    }
  });
}

at::Tensor simtier(const at::Tensor& table, const std::optional<at::Tensor>& scale, const at::Tensor& target_rows,
                   const at::Tensor& history_rows, const at::Tensor& offsets,
                   const std::optional<at::Tensor>& bag_index, int64_t num_tiers,
                   const std::optional<at::Tensor>& cosines) {
  const Call call(table, scale, target_rows, history_rows, offsets, bag_index);
  const Work work = call.divide(group_size(table.size(1), num_tiers));
  const Cosines kept(call, cosines);
  at::Tensor out = at::zeros({target_rows.numel(), num_tiers}, table.options().dtype(at::kFloat));
  call.with_types([&](const auto& rows, const auto& history) {
    count_bags(rows, history, work, call.targets.const_data_ptr<int64_t>(), num_tiers, out.mutable_data_ptr<float>(),
               kept);
  });
  return out;
}

}  // namespace
}  // namespace tierwise

TORCH_LIBRARY_FRAGMENT(recsys_native, m) {
  m.def(
      "simtier(Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, Tensor offsets, "
      "Tensor? bag_index, int num_tiers, Tensor(a!)? cosines=None) -> Tensor");
}

TORCH_LIBRARY_IMPL(recsys_native, CPU, m) { m.impl("simtier", &tierwise::simtier); }
