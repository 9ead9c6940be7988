// Stands in for the CUDA built-ins, so that a kernel's own text runs on the CPU under sanitizers.
//
// Every thread of a block is a fiber; blocks run one after the other. A fiber runs until it finishes
// or waits for others, and then the next one in order runs: with the order turned round, a result
// that lacks a barrier changes. Threads of which some wait for the block and others for their warp
// are reported, because on a device they would hang.

#pragma once
#include <time.h>
#include <ucontext.h>

// <random> alone would be a quarter of the time that a source takes to compile
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

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

// Where the linker puts the arrays that kernels declare as shared, if there are any.
extern "C" {
__attribute__((weak, visibility("hidden"))) extern unsigned char __start_shared_memory[];
__attribute__((weak, visibility("hidden"))) extern unsigned char __stop_shared_memory[];
}

static dim3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

namespace on_cpu {

enum State { ready, at_block, at_warp, finished };

// Contexts of threads. `swapcontext` asks the system for the signal mask each time, and AddressSanitizer
// clears its marks of a whole stack before: on the suite's kernels 3/5 of the time.
#if defined(__x86_64__)
struct Context {
    void *stack;
};
extern "C" void on_cpu_swap(Context *from, const Context *to);
// what a called function has to keep lies on the stack that is left
asm(".local on_cpu_swap\n"
    ".type on_cpu_swap, @function\n"
    "on_cpu_swap:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\n"
    "mov (%rsi), %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\n"
    "ret\n");
inline void swap(Context *from, const Context *to) { on_cpu_swap(from, to); }
inline void begin(Context *context, char *stack, size_t bytes, void (*entry)()) {
    void **top = reinterpret_cast<void **>(stack + bytes);
    *--top = nullptr;  // where a call would have left its return address, for the alignment
    *--top = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    context->stack = top;
}
#else
using Context = ucontext_t;
inline void swap(Context *from, const Context *to) { swapcontext(from, to); }
inline void begin(Context *context, char *stack, size_t bytes, void (*entry)()) {
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = bytes;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
}
#endif

struct Fiber {
    Context context;
    dim3 thread;
    State state;
    unsigned exchanges;  // between the lanes of the warp, so far
};

const size_t stack_bytes = 64 << 10;
static std::vector<Fiber> fibers;
static std::vector<std::unique_ptr<char[]>> stacks;  // kept, because new memory takes most time
static std::vector<unsigned long long> slots;  // two values for each thread, taken in turns
static Context scheduler;
static size_t current;
static unsigned char *shared;
static void (*body)(void *);
static void *body_data;

inline void wait(State state) {
    Fiber &fiber = fibers[current];
    fiber.state = state;
    swap(&fiber.context, &scheduler);
}

inline void entry() {
    body(body_data);
    wait(finished);  // and is never woken
}

// NaN, and an index far outside: no kernel may rely on what was in shared memory before. A loop of
// its own, because the sanitizer's `memset` would find the space between the arrays.
__attribute__((no_sanitize("address"))) inline void forget(volatile unsigned char *first,
                                                           volatile unsigned char *last) {
    while (first < last) *first++ = 0xff;
}

// Let those go on that wait for nobody else: a warp, or the whole block.
inline bool release(size_t first, size_t last, State state) {
    bool any = false;
    for (size_t i = first; i < last; ++i) {
        if (fibers[i].state == finished) continue;
        if (fibers[i].state != state) return false;
        any = true;
    }
    if (any)
        for (size_t i = first; i < last; ++i)
            if (fibers[i].state == state) fibers[i].state = ready;
    return any;
}

inline bool run_block(const std::vector<size_t> &order) {
    for (size_t i = 0; i < fibers.size(); ++i) {
        Fiber &fiber = fibers[i];
        begin(&fiber.context, stacks[i].get(), stack_bytes, entry);
        fiber.state = ready;
        fiber.exchanges = 0;
    }
    for (;;) {
        for (size_t i : order) {
            if (fibers[i].state != ready) continue;
            current = i;
            threadIdx = fibers[i].thread;
            swap(&scheduler, &fibers[i].context);
        }
        bool all_finished = true;
        for (const Fiber &fiber : fibers) all_finished &= fiber.state == finished;
        if (all_finished) return true;
        bool released = release(0, fibers.size(), at_block);
        for (size_t first = 0; first < fibers.size(); first += warpSize)
            released |= release(first, std::min(first + warpSize, fibers.size()), at_warp);
        if (!released) return false;
    }
}

inline void shuffle(std::vector<size_t> &sequence, uint64_t state) {
    for (size_t i = sequence.size(); i > 1; --i) {
        state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
        std::swap(sequence[i - 1], sequence[(state >> 33) % i]);
    }
}

// order: 0 as numbered, 1 the other way round, others shuffled by that seed
inline bool run_grid(dim3 grid, dim3 block, size_t shared_bytes, int order) {
    gridDim = grid;
    blockDim = block;
    const size_t threads = (size_t)block.x * block.y * block.z;
    fibers = std::vector<Fiber>(threads);
    while (stacks.size() < threads) stacks.emplace_back(new char[stack_bytes]);
    slots.assign(2 * threads, 0);
    std::vector<size_t> sequence(threads);
    for (size_t i = 0; i < threads; ++i) {
        sequence[i] = i;
        fibers[i].thread = {(unsigned)(i % block.x), (unsigned)(i / block.x % block.y),
                            (unsigned)(i / block.x / block.y)};
    }
    if (order == 1) std::reverse(sequence.begin(), sequence.end());
    if (order > 1) shuffle(sequence, order);
    bool completed = true;
    for (blockIdx.z = 0; blockIdx.z < grid.z && completed; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid.y && completed; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid.x && completed; ++blockIdx.x) {
                // on the heap, with exactly as many bytes as the launch asked for
                std::unique_ptr<unsigned char[]> memory(new unsigned char[shared_bytes]);
                shared = memory.get();
                forget(shared, shared + shared_bytes);
                forget(__start_shared_memory, __stop_shared_memory);
                completed = run_block(sequence);
            }
    fibers.clear();
    if (!completed) stacks.clear();  // the frames of those that wait are still marked there
    return completed;
}

template <class T>
T exchange(T value, unsigned source_lane) {
    static_assert(sizeof(T) <= 8, "a value of the warp has at most 8 bytes");
    const size_t self = current, turn = fibers[self].exchanges++ % 2;
    std::memcpy(&slots[2 * self + turn], &value, sizeof(T));
    wait(at_warp);
    const size_t source = self / warpSize * warpSize + source_lane;
    if (source < fibers.size()) std::memcpy(&value, &slots[2 * source + turn], sizeof(T));
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
    body = [](void *data) { (*reinterpret_cast<decltype(call) *>(data))(); };
    body_data = &call;
    return run_grid({dims[0], dims[1], dims[2]}, {dims[3], dims[4], dims[5]}, shared_bytes, order)
               ? 0
               : -1;
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
