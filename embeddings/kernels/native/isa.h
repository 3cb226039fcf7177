// Compiles a file of inner loops once for each instruction set, in namespaces portable, avx2 and avx512, and with
// TIERWISE_TILES in namespace amx too, where loops have a use for it:
//
//     #define TIERWISE_LOOPS "simtier.inc"
//     #define TIERWISE_TILES
//     #include "isa.h"
//
// and TIERWISE_CALL(isa(), f(x)) calls the one for this machine.

#include <cmath>
#include <cstring>
#include <type_traits>

#if defined(TIERWISE_X86)
#include <immintrin.h>
#endif

namespace tierwise {

namespace portable {
#include "simd.inc"
#include TIERWISE_LOOPS
}  // namespace portable

#if defined(TIERWISE_X86)
#define TIERWISE_AVX2
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
namespace avx2 {
#include "simd.inc"
#include TIERWISE_LOOPS
}  // namespace avx2
#pragma GCC pop_options

#define TIERWISE_AVX512
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
namespace avx512 {
#include "simd.inc"
#include TIERWISE_LOOPS
}  // namespace avx512
#pragma GCC pop_options

#if defined(TIERWISE_TILES) && __GNUC__ >= 12
#define TIERWISE_AMX
#pragma GCC push_options
#pragma GCC target( \
    "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,amx-tile,amx-int8,amx-bf16," \
    "prefer-vector-width=512")
namespace amx {
#include "simd.inc"
#include TIERWISE_LOOPS
}  // namespace amx
#pragma GCC pop_options
#undef TIERWISE_AMX
#else
namespace amx = avx512;
#endif
#undef TIERWISE_AVX512
#undef TIERWISE_AVX2

#define TIERWISE_CALL(ISA, CALL)                  \
  switch (ISA) {                                  \
    case Isa::amx: amx::CALL; break;              \
    case Isa::avx512: avx512::CALL; break;        \
    case Isa::avx2: avx2::CALL; break;            \
    default: portable::CALL;                      \
  }
#else
#define TIERWISE_CALL(ISA, CALL) portable::CALL;
#endif

}  // namespace tierwise
