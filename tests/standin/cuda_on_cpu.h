// Stands in for the CUDA built-ins, so that a kernel's own text runs on the CPU under sanitizers.
//
// What runs the threads is in ``cuda_on_cpu.cpp``, compiled once; a source, of which there are more
// than a hundred, includes little, because that took half of the time that compiling it takes.

#pragma once
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define __shared__ static __attribute__((section("shared_memory")))
#define __align__(bytes) alignas(bytes)
#define SHARED(type, array) type *array = reinterpret_cast<type *>(on_cpu::shared)

struct dim3 {
    unsigned x, y, z;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

namespace on_cpu {

enum State { ready, at_block, at_warp, finished };

// of all threads and of the one that runs
extern unsigned char *shared;
extern size_t current;

void wait(State state);
// The value that the same call of another lane of the warp was given, or one's own without that lane.
unsigned long long exchanged(unsigned long long value, unsigned source_lane);
// False if some threads wait for what others never reach; see `run_grid` for the order.
bool run_grid(dim3 grid, dim3 block, size_t shared_bytes, int order, void (*body)(void *),
              void *data);

template <class T>
T exchange(T value, unsigned source_lane) {
    static_assert(sizeof(T) <= 8, "a value of the warp has at most 8 bytes");
    unsigned long long bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = exchanged(bits, source_lane);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

// Kinds of arguments as the launching side sees them: a pointer to items of a size, an integer, a
// real number; the size of a number is checked as well.
struct Argument {
    char kind;
    int bytes;
    void *value;
};

template <class T>
bool fits(const Argument &argument) {
    if constexpr (std::is_pointer_v<T>) {
        return argument.kind == 'p' && argument.bytes == (int)sizeof(std::remove_pointer_t<T>);
    } else {
        return argument.kind == (std::is_floating_point_v<T> ? 'f' : 'i') &&
               argument.bytes == (int)sizeof(T);
    }
}

template <class T>
T get(const Argument &argument) {
    if constexpr (std::is_pointer_v<T>) return reinterpret_cast<T>(argument.value);
    else return *reinterpret_cast<T *>(argument.value);
}

template <class... A, size_t... I>
int launch(void (*kernel)(A...), const Argument *arguments, int number, const unsigned *dims,
           size_t shared_bytes, int order, std::index_sequence<I...>) {
    if (number != (int)sizeof...(A)) return 1000 + (int)sizeof...(A);
    const bool suitable[] = {fits<A>(arguments[I])...};
    for (int i = 0; i < number; ++i)
        if (!suitable[i]) return 1 + i;
    auto call = [&] { kernel(get<A>(arguments[I])...); };
    auto body = [](void *data) { (*reinterpret_cast<decltype(call) *>(data))(); };
    const dim3 grid{dims[0], dims[1], dims[2]}, block{dims[3], dims[4], dims[5]};
    return run_grid(grid, block, shared_bytes, order, body, &call) ? 0 : -1;
}

template <class... A>
int launch(void (*kernel)(A...), const Argument *arguments, int number, const unsigned *dims,
           size_t shared_bytes, int order) {
    return launch(kernel, arguments, number, dims, shared_bytes, order,
                  std::index_sequence_for<A...>());
}

}  // namespace on_cpu

#define LAUNCHER(name)                                                                            \
    extern "C" __attribute__((visibility("default"))) int launch_##name(                          \
        const on_cpu::Argument *arguments, int number, const unsigned *dims, size_t shared_bytes, \
        int order) {                                                                              \
        return on_cpu::launch(name, arguments, number, dims, shared_bytes, order);                \
    }

inline void __syncthreads() { on_cpu::wait(on_cpu::at_block); }
inline void __syncwarp(unsigned = 0xffffffffu) { on_cpu::wait(on_cpu::at_warp); }
inline void __threadfence() {}
inline long long clock64() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
    return on_cpu::exchange(value, lane % warpSize);
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta) {
    const unsigned lane = on_cpu::current % warpSize;
    return on_cpu::exchange(value, lane + delta < (unsigned)warpSize ? lane + delta : lane);
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned delta) {
    const unsigned lane = on_cpu::current % warpSize;
    return on_cpu::exchange(value, lane >= delta ? lane - delta : lane);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return on_cpu::exchange(value, (on_cpu::current % warpSize) ^ mask);
}

template <class T>
T atomicAdd(T *address, T value) {
    const T old = *address;
    *address = old + value;
    return old;
}
template <class T>
T atomicMax(T *address, T value) {
    const T old = *address;
    *address = std::max(old, value);
    return old;
}
template <class T>
T atomicMin(T *address, T value) {
    const T old = *address;
    *address = std::min(old, value);
    return old;
}

template <class To, class From>
To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To result;
    std::memcpy(&result, &value, sizeof(To));
    return result;
}
inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return same_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }

using std::abs;
using std::atan;
using std::atan2;
using std::ceil;
using std::copysign;
using std::cos;
using std::exp;
using std::floor;
using std::fma;
using std::hypot;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::log;
using std::max;
using std::min;
using std::pow;
using std::rint;
using std::sin;
using std::sqrt;
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline void sincospi(double x, double *s, double *c) { ::sincos(M_PI * x, s, c); }
inline void sincospif(float x, float *s, float *c) {
    double sine, cosine;
    ::sincos(M_PI * x, &sine, &cosine);
    *s = (float)sine;
    *c = (float)cosine;
}
