// DIN's target attention on CPU at inference: behaviours lie along the lanes, hidden units live for one block of them only.
//
// The first layer is h = Q q + b + K k + P (k * q). q is folded into one matrix and one offset, once a target:
//
//     t = -log2(e) h = offset + matrix k,    matrix = -log2(e) (K + P diag(q)),  offset = -log2(e) (Q q + b)
//
// so that a pair costs H x D products. silu(h) = -ln(2) t / (1 + 2^t), and the factor -ln(2) is in the weights of what follows.

#include <torch/library.h>

#include <cmath>

#include "work.h"

namespace tierwise {

constexpr int64_t kUnits = 4;  // hidden units that are worked on together, and what every width is padded to

inline int64_t padded_to(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// A linear layer: matrix [out / kUnits][in][kUnits], offset [out].
struct Layer {
  const float *matrix, *offset;
  int64_t in, out;
};

// A call's parameters in the loops' layout, padded with zeros.
struct Attention {
  int64_t width, padded, hidden;                             // D, D padded, H of the first layer padded
  std::vector<float> of_query, of_key, of_product, bias;     // [hidden / kUnits][padded][kUnits], [hidden]
  std::vector<std::vector<float>> matrices, offsets;         // of the layers between the first and the score
  std::vector<float> score, own, cosines, products;          // score [last hidden]; gammas of alpha, of R, of alpha * R
  float score_bias;
  bool softmax;
};

// Memory that begins on a cache line.
struct Room {
  std::vector<float> memory;

  float* of(int64_t numbers) {
    if (static_cast<int64_t>(memory.size()) < numbers + 16) memory.resize(numbers + 16);
    return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
  }
};

// A thread's own memory.
struct AttentionScratch {
  Room keys, query, matrix, offset, units[2], weights, sums;
};

}  // namespace tierwise

#define TIERWISE_LOOPS "target_attention.inc"
#include "isa.h"

namespace tierwise {
namespace {

constexpr double kLog2E = 1.4426950408889634, kLn2 = 0.6931471805599453;

at::Tensor plain(const at::Tensor& tensor) { return tensor.to(at::kFloat).contiguous(); }

// Columns [from, from + in) of weight [out, all], times `by`
std::vector<float> packed(const at::Tensor& weight, int64_t from, int64_t in, double by) {
  const int64_t out = weight.size(0), all = weight.size(1), padded = padded_to(in, kUnits);
  const float* w = weight.const_data_ptr<float>();
  std::vector<float> matrix(padded_to(out, kUnits) * padded, 0.0f);
  for (int64_t unit = 0; unit < out; ++unit) {
    float* to = matrix.data() + unit / kUnits * kUnits * padded + unit % kUnits;
    for (int64_t k = 0; k < in; ++k) to[k * kUnits] = static_cast<float>(by * w[unit * all + from + k]);
  }
  return matrix;
}

std::vector<float> packed(const at::Tensor& vector, double by) {
  const float* v = vector.const_data_ptr<float>();
  std::vector<float> out(padded_to(vector.numel(), kUnits), 0.0f);
  for (int64_t i = 0; i < vector.numel(); ++i) out[i] = static_cast<float>(by * v[i]);
  return out;
}

Attention parameters(const at::Tensor& query, const at::Tensor& query_bias, const at::Tensor& pair, at::TensorList weights,
                     at::TensorList biases, const std::optional<at::Tensor>& gamma, bool softmax) {
  Attention a;
  a.width = query.size(1);
  a.padded = padded_to(a.width, kUnits);
  a.hidden = padded_to(query.size(0), kUnits);
  const at::Tensor both = plain(pair);
  a.of_query = packed(plain(query), 0, a.width, -kLog2E);
  a.of_key = packed(both, 0, a.width, -kLog2E);
  a.of_product = packed(both, a.width, a.width, -kLog2E);
  a.bias = packed(plain(query_bias), -kLog2E);
  for (size_t i = 0; i + 1 < weights.size(); ++i) {  // -ln(2) of what comes in times -log2(e) of what goes out is 1
    a.matrices.push_back(packed(plain(weights[i]), 0, weights[i].size(1), 1.0));
    a.offsets.push_back(packed(plain(biases[i]), -kLog2E));
  }
  a.score = packed(plain(weights.back()).view(-1), -kLn2);
  a.score_bias = plain(biases.back()).const_data_ptr<float>()[0];
  a.softmax = softmax;
  if (gamma) {
    const at::Tensor all = plain(*gamma);
    const float* g = all.const_data_ptr<float>();
    const int64_t modalities = gamma->numel() / 2;
    a.own.assign(g, g + 1);
    a.cosines.assign(g + 1, g + 1 + modalities);
    a.products.assign(g + 1 + modalities, g + 1 + 2 * modalities);
  }
  return a;
}

at::Tensor target_attention(const at::Tensor& target, const at::Tensor& behaviours, const at::Tensor& offsets,
                            const std::optional<at::Tensor>& bag_index, const at::Tensor& query,
                            const at::Tensor& query_bias, const at::Tensor& pair, at::TensorList weights,
                            at::TensorList biases, const std::optional<at::Tensor>& gamma,
                            const std::optional<at::Tensor>& cosines, bool softmax) {
  const at::Tensor targets = plain(target), keys = plain(behaviours), ends = offsets.to(at::kLong).contiguous();
  const at::Tensor bags = bag_index ? bag_index->to(at::kLong).contiguous() : at::Tensor();
  check_offsets(ends, bag_index ? bag_index->numel() : -1, targets.size(0), keys.size(0));
  const int64_t* end = ends.const_data_ptr<int64_t>();
  const int64_t* bag = bag_index ? bags.const_data_ptr<int64_t>() : nullptr;
  const int64_t width = targets.size(1);
  constexpr int64_t kGroup = 32;  // targets whose bag is laid out once
  const Work work = divide(end, ends.numel() - 1, bag, targets.size(0), kGroup);
  const Attention attention = parameters(query, query_bias, pair, weights, biases, gamma, softmax);

  at::Tensor mixed;
  std::vector<int64_t> first;  // where the cosines of a target begin
  if (gamma) {
    mixed = plain(*cosines);
    int64_t next = 0;
    for (int64_t b = 0; b < targets.size(0); ++b) {
      first.push_back(bag_index ? next : end[b]);
      next += bag_index ? end[bag[b] + 1] - end[bag[b]] : 0;
    }
    const int64_t wanted = bag_index ? next : keys.size(0);
    TORCH_CHECK_VALUE(mixed.size(0) == wanted, "cosines of ", mixed.size(0), " pairs; allowed: ", wanted);
  }

  at::Tensor out = at::empty({targets.size(0), width}, targets.options());
  float* result = out.mutable_data_ptr<float>();
  const float *q = targets.const_data_ptr<float>(), *k = keys.const_data_ptr<float>();
  const float* r = gamma ? mixed.const_data_ptr<float>() : nullptr;
  const Isa kind = isa();
  for_items(work, [] { return AttentionScratch(); }, [&](AttentionScratch& s, const Item& item) {
    const int64_t length = item.high - item.low;
    TIERWISE_CALL(kind, lay_out(k + item.low * width, length, attention, s))
    for (int64_t j = 0; j < item.targets; ++j) {
      const int64_t b = work.target(item, j);
      const float* of_target = gamma ? r + first[b] * mixed.size(1) : nullptr;
      TIERWISE_CALL(kind, attend(attention, q + b * width, length, of_target, s, result + b * width))
    }
  });
  return out;
}

}  // namespace
}  // namespace tierwise

TORCH_LIBRARY_FRAGMENT(recsys_native, m) {
  m.def(
      "target_attention(Tensor target, Tensor behaviours, Tensor offsets, Tensor? bag_index, Tensor query, Tensor "
      "query_bias, Tensor pair, Tensor[] weights, Tensor[] biases, Tensor? gamma, Tensor? cosines, bool softmax) -> Tensor");
}

TORCH_LIBRARY_IMPL(recsys_native, CPU, m) { m.impl("target_attention", &tierwise::target_attention); }
