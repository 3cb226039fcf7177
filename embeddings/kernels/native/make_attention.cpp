// MAKE's attention on CPU, forward and backward, a target at a time; hidden units live for eight behaviours only.
//
// With weight = [A, B, C, D] over [q; k; q - k; q * k] the hidden units of target q and behaviour k are
//
//     h = (A + C) q + bias + ((B - C) + D diag(q)) k
//
// so q is folded into one matrix and one offset, and a pair costs H x M products instead of 4 H x M.

#include <torch/library.h>

#include <tuple>

#include "work.h"

namespace tierwise {

// Parameters, each matrix [width][padded]: hidden units along the lanes.
struct Weights {
  const float *of_query, *of_key, *of_product;  // (A + C)^T, (B - C)^T, D^T
  const float *bias, *slope, *score;            // [padded]
  int64_t width, padded;
  bool tiled;  // tiles of a matrix product instead of lanes
};

// Gradients: of A + C, of B - C, of D, each [width][padded], or [padded][width] of tiles; of bias, slope, score [3][padded]
struct Gradients {
  float *query, *key, *product, *vectors;
};

// A thread's own memory.
struct Scratch {
  std::vector<float> query, matrix, offset, room, hidden, of_matrix, of_vectors, tiles;
};

// A target's query folded in: h = offset + k times matrix.
struct Folded {
  const float *matrix, *offset;
};

}  // namespace tierwise

#define TIERWISE_LOOPS "make_attention.inc"
#define TIERWISE_TILES
#include "isa.h"

namespace tierwise {
namespace {

constexpr int64_t kPad = portable::kLanes;  // hidden units are padded to a multiple of it
constexpr int64_t kLongest = 1024;          // behaviours that are summed together; parts of longer bags may go to several threads

at::Tensor padded_vector(const at::Tensor& vector, int64_t padded) {
  at::Tensor out = at::zeros({padded}, at::kFloat);
  out.narrow(0, 0, vector.size(0)).copy_(vector);
  return out;
}

// The parameters in the kernels' layout.
struct Parameters {
  int64_t hidden, width, padded;
  at::Tensor of_query, of_key, of_product, bias, slope, score;

  Parameters(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& slope, const at::Tensor& score)
      : hidden(bias.size(0)), width(weight.size(1) / 4), padded((hidden + kPad - 1) / kPad * kPad) {
    // [H, 4M] to three of [M, padded], by loops: torch's functions for it take longer than the kernel does for one target
    const at::Tensor whole = weight.contiguous();
    at::Tensor all = at::zeros({3, width, padded}, at::kFloat);
    float* to = all.mutable_data_ptr<float>();
    for (int64_t h = 0; h < hidden; ++h) {
      const float *a = whole.const_data_ptr<float>() + h * 4 * width, *b = a + width, *c = b + width, *d = c + width;
      for (int64_t m = 0; m < width; ++m) {
        float* place = to + m * padded + h;
        place[0] = a[m] + c[m];
        place[width * padded] = b[m] - c[m];
        place[2 * width * padded] = d[m];
      }
    }
    of_query = all[0];
    of_key = all[1];
    of_product = all[2];
    this->bias = padded_vector(bias, padded);
    this->slope = padded_vector(slope, padded);
    this->score = padded_vector(score, padded);
  }

  Weights weights() const {
    return {of_query.const_data_ptr<float>(), of_key.const_data_ptr<float>(), of_product.const_data_ptr<float>(),
            bias.const_data_ptr<float>(), slope.const_data_ptr<float>(), score.const_data_ptr<float>(), width, padded, false};
  }
};

Scratch scratch(const Weights& w, bool backward) {
  Scratch s;
  s.query.resize(w.width);
  s.offset.resize(w.padded);
  if (w.tiled) return s;
  s.matrix.resize(w.width * w.padded);
  s.room.resize((portable::kRows + 1) * w.width);
  s.hidden.resize(portable::kRows * w.padded);
  if (!backward) return s;
  s.of_matrix.resize(w.width * w.padded);
  s.of_vectors.resize(3 * w.padded);
  return s;
}

at::Tensor make_attention(const at::Tensor& table, const std::optional<at::Tensor>& scale,
                          const at::Tensor& target_rows, const at::Tensor& history_rows, const at::Tensor& offsets,
                          const std::optional<at::Tensor>& bag_index, const at::Tensor& weight, const at::Tensor& bias,
                          const at::Tensor& slope, const at::Tensor& score) {
  const Call call(table, scale, target_rows, history_rows, offsets, bag_index);
  const Parameters parameters(weight, bias, slope, score);
  const Weights w = parameters.weights();
  // Neither threads nor other targets change a target's numbers: parts of its bag lie where they always do, and are added in
  // order; tiles are chosen by a part alone
  const Work work = cut(call.divide(1), kLongest);
  const Isa kind = isa();
  const int64_t width = w.width, cuts = static_cast<int64_t>(work.items.size()) - 1 - target_rows.numel();
  at::Tensor out = at::zeros({target_rows.numel(), width}, table.options().dtype(at::kFloat));
  at::Tensor further = at::zeros({cuts, width}, out.options());  // of all parts but a target's first
  float *const result = out.mutable_data_ptr<float>(), *const rest = further.mutable_data_ptr<float>();
  const int64_t* targets = call.targets.const_data_ptr<int64_t>();
  const Item* const items = work.items.data();
  const auto is_further = [&](const Item& item) { return &item != items && item.first == (&item)[-1].first; };
  const auto place = [&](const Item& item) { return rest + (&item - items - item.first - 1) * width; };
  call.with_types([&](const auto& rows, const auto& history) {
    const auto make_scratch = [&] { return scratch(w, false); };
    for_items(work, make_scratch, [&](Scratch& s, const Item& item) {
      const int64_t b = work.target(item, 0);
      if (targets[b] == kMissing || item.low == item.high) return;
      portable::copy_row(rows, targets[b], portable::scale_of(rows, targets[b]), s.query.data());
      Weights own = w;
      TIERWISE_CALL(kind, choose_tiles(item.high - item.low, 1, &own))
      TIERWISE_CALL(kind, attend(rows, history, item.low, item.high, own, s.query.data(), s,
                                 is_further(item) ? place(item) : result + b * width))
    });
  });
  for (auto item = work.items.begin(); item->targets > 0; ++item) {
    if (!is_further(*item)) continue;
    float* const v = result + work.target(*item, 0) * width;
    for (int64_t k = 0; k < width; ++k) v[k] += place(*item)[k];
  }
  return out;
}

using FourTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

FourTensors make_attention_backward(const at::Tensor& gradient, const at::Tensor& table,
                                  const std::optional<at::Tensor>& scale, const at::Tensor& target_rows,
                                  const at::Tensor& history_rows, const at::Tensor& offsets,
                                  const std::optional<at::Tensor>& bag_index, const at::Tensor& weight,
                                  const at::Tensor& bias, const at::Tensor& slope, const at::Tensor& score) {
  const Call call(table, scale, target_rows, history_rows, offsets, bag_index);
  const Parameters parameters(weight, bias, slope, score);
  Weights w = parameters.weights();
  const Work work = call.divide(1);
  const Isa kind = isa();
  TIERWISE_CALL(kind, choose_tiles(work.total(), target_rows.numel(), &w))
  const at::Tensor upstream = gradient.contiguous();
  const float* g = upstream.const_data_ptr<float>();
  const int64_t* targets = call.targets.const_data_ptr<int64_t>();
  // each thread sums apart: of_query, of_key, of_product, bias, slope, score [padded]
  const int64_t size = w.width * w.padded, each = 3 * size + 3 * w.padded;
  at::Tensor sums = at::zeros({at::get_num_threads(), each}, at::kFloat);
  float* all = sums.mutable_data_ptr<float>();
  call.with_types([&](const auto& rows, const auto& history) {
    const auto make_scratch = [&] { return scratch(w, true); };
    for_parts(work, make_scratch, [&](Scratch& s, const Item& item, int64_t low, int64_t high, bool) {
      const int64_t b = work.target(item, 0);
      if (targets[b] == kMissing) return;
      float* own = all + at::get_thread_num() * each;
      const Gradients of = {own, own + size, own + 2 * size, own + 3 * size};
      portable::copy_row(rows, targets[b], portable::scale_of(rows, targets[b]), s.query.data());
      TIERWISE_CALL(kind, attend_backward(rows, history, low, high, w, s.query.data(), g + b * w.width, s, of))
    });
  });
  const at::Tensor total = sums.sum(0);
  const auto matrix = [&](int64_t i) {
    const at::Tensor one = total.narrow(0, i * size, size);
    const at::Tensor units_first = w.tiled ? one.view({w.padded, w.width}) : one.view({w.width, w.padded}).t();
    return units_first.narrow(0, 0, parameters.hidden);
  };
  const auto vector = [&](int64_t i) {
    return total.narrow(0, 3 * size + i * w.padded, w.padded).narrow(0, 0, parameters.hidden).clone();
  };
  const at::Tensor of_query = matrix(0), of_key = matrix(1), of_product = matrix(2);
  return {at::cat({of_query, of_key, of_query - of_key, of_product}, 1), vector(0), vector(1), vector(2)};
}

}  // namespace
}  // namespace tierwise

TORCH_LIBRARY_FRAGMENT(recsys_native, m) {
  m.def(
      "make_attention(Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, Tensor offsets, "
      "Tensor? bag_index, Tensor weight, Tensor bias, Tensor slope, Tensor score) -> Tensor");
  m.def(
      "make_attention_backward(Tensor gradient, Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, "
      "Tensor offsets, Tensor? bag_index, Tensor weight, Tensor bias, Tensor slope, Tensor score) -> (Tensor, Tensor, "
      "Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(recsys_native, CPU, m) {
  m.impl("make_attention", &tierwise::make_attention);
  m.impl("make_attention_backward", &tierwise::make_attention_backward);
}
