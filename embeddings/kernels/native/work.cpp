#include "work.h"

#if defined(TIERWISE_X86) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <string>

namespace tierwise {

namespace {

constexpr int64_t kSharedFrom = 2;  // targets of one bag from which they are worked on together

}  // namespace

Work divide(const int64_t* offsets, int64_t bags, const int64_t* bag_index, int64_t targets, int64_t group) {
  Work work;
  int64_t done = 0;
  const auto add = [&](int64_t first, int64_t count, int64_t bag) {
    work.items.push_back({first, count, offsets[bag], offsets[bag + 1], done});
    done += count * (offsets[bag + 1] - offsets[bag]);
  };
  if (bag_index == nullptr) {
    work.items.reserve(targets + 1);
    for (int64_t b = 0; b < targets; ++b) add(b, 1, b);
  } else {
    std::vector<int64_t> place(bags + 1, 0);  // bag u has order[place[u]] to order[place[u + 1]]
    for (int64_t b = 0; b < targets; ++b) {
      TORCH_CHECK_INDEX(bag_index[b] >= 0 && bag_index[b] < bags, "bag ", bag_index[b], " is outside the ", bags,
                        " bags");
      ++place[bag_index[b] + 1];
    }
    for (int64_t u = 0; u < bags; ++u) place[u + 1] += place[u];
    std::vector<int64_t> next(place.begin(), place.end() - 1);
    work.order.resize(targets);
    for (int64_t b = 0; b < targets; ++b) work.order[next[bag_index[b]]++] = b;
    for (int64_t u = 0; u < bags; ++u) {
      const int64_t size = place[u + 1] - place[u] >= kSharedFrom ? std::max<int64_t>(group, 1) : 1;
      for (int64_t at = place[u]; at < place[u + 1]; at += size) add(at, std::min(size, place[u + 1] - at), u);
    }
  }
  work.items.push_back({0, 0, 0, 0, done});
  return work;
}

Work cut(const Work& work, int64_t longest) {
  Work all;
  all.order = work.order;
  all.items.reserve(work.items.size());
  for (const Item& item : work.items) {
    const int64_t length = item.high - item.low, parts = std::max<int64_t>((length + longest - 1) / longest, 1);
    for (int64_t p = 0; p < parts; ++p) {
      const int64_t from = length * p / parts, to = length * (p + 1) / parts;
      all.items.push_back({item.first, item.targets, item.low + from, item.low + to, item.work_before + from});
    }
  }
  return all;
}

void check_offsets(const at::Tensor& offsets, int64_t chosen, int64_t targets, int64_t total) {
  const int64_t* end = offsets.const_data_ptr<int64_t>();
  const int64_t bags = offsets.numel() - 1, given = chosen < 0 ? bags : chosen;
  TORCH_CHECK_VALUE(given == targets, targets, " targets, but ", given, " bags for them");
  TORCH_CHECK_INDEX(end[0] >= 0, "offsets start at ", end[0]);
  for (int64_t u = 0; u < bags; ++u) TORCH_CHECK_INDEX(end[u] <= end[u + 1], "offsets decrease at bag ", u);
  TORCH_CHECK_INDEX(end[bags] <= total, "offsets end at ", end[bags], " beyond ", total);
}

#if defined(TIERWISE_X86)
// Linux keeps the tiles' registers from a process that does not ask for them (arch_prctl, ARCH_REQ_XCOMP_PERM).
static bool tiles_granted() {
#if defined(__linux__)
  unsigned a, b, c, d;
  constexpr unsigned kAll = 1u << 22 | 1u << 24 | 1u << 25;  // of CPUID's leaf 7: AMX-BF16, AMX-TILE, AMX-INT8
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kAll) != kAll) return false;
  return __builtin_cpu_supports("avx512bf16") && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return false;
#endif
}
#endif

static Isa find_isa() {
  const char* limit = std::getenv("TIERWISE_ISA");
  const std::string widest = limit == nullptr ? "amx" : limit;
  TORCH_CHECK(widest == "portable" || widest == "avx2" || widest == "avx512" || widest == "amx", "TIERWISE_ISA is '",
              widest, "'; allowed: portable, avx2, avx512, amx");
#if defined(TIERWISE_X86)
  const bool wide = widest == "avx512" || widest == "amx";
  if (wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    return widest == "amx" && tiles_granted() ? Isa::amx : Isa::avx512;
  // every processor with AVX2 has F16C, which not every compiler knows how to ask for
  if (widest != "portable" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa isa() {
  static const Isa found = find_isa();
  return found;
}

Call::Call(const at::Tensor& table, const std::optional<at::Tensor>& scale, const at::Tensor& target_rows,
           const at::Tensor& history_rows, const at::Tensor& offsets, const std::optional<at::Tensor>& bag_index)
    : table(table.stride(1) == 1 ? table : table.contiguous()),
      scale(scale ? scale->contiguous() : at::Tensor()),
      targets(target_rows.to(at::kLong).contiguous()),
      history(history_rows.contiguous()),
      offsets(offsets.to(at::kLong).contiguous()),
      bag_index(bag_index ? bag_index->to(at::kLong).contiguous() : at::Tensor()) {
  check_offsets(this->offsets, bag_index ? bag_index->numel() : -1, targets.numel(), history.numel());
  const int64_t* row = targets.const_data_ptr<int64_t>();
  for (int64_t b = 0; b < targets.numel(); ++b) check_row(row[b], this->table.size(0));
}

Work Call::divide(int64_t group) const {
  return tierwise::divide(offsets.const_data_ptr<int64_t>(), offsets.numel() - 1,
                          bag_index.defined() ? bag_index.const_data_ptr<int64_t>() : nullptr, targets.numel(), group);
}

}  // namespace tierwise
