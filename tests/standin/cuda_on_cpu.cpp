// Runs the threads of kernels that were compiled for the CPU.
//
// Every thread of a block is a fiber; blocks run one after the other. A fiber runs until it finishes
// or waits for others, and then the next one in order runs: with the order turned round, a result
// that lacks a barrier changes. Threads of which some wait for the block and others for their warp
// are reported, because on a device they would hang.

#include "cuda_on_cpu.h"

#include <ucontext.h>

#include <memory>
#include <vector>

// Where the linker puts the arrays that kernels declare as shared, if there are any.
extern "C" {
__attribute__((weak, visibility("hidden"))) extern unsigned char __start_shared_memory[];
__attribute__((weak, visibility("hidden"))) extern unsigned char __stop_shared_memory[];
}

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace on_cpu {

// Contexts of threads. `swapcontext` asks the system for the signal mask each time, and the sanitizer
// clears its marks of a whole stack before: half of the time that the suite's kernels took.
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
static void swap(Context *from, const Context *to) { on_cpu_swap(from, to); }
static void begin(Context *context, char *stack, size_t bytes, void (*entry)()) {
    void **top = reinterpret_cast<void **>(stack + bytes);
    *--top = nullptr;  // where a call would have left its return address, for the alignment
    *--top = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    context->stack = top;
}
#else
using Context = ucontext_t;
static void swap(Context *from, const Context *to) { swapcontext(from, to); }
static void begin(Context *context, char *stack, size_t bytes, void (*entry)()) {
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
size_t current;
unsigned char *shared;
static void (*body)(void *);
static void *body_data;

void wait(State state) {
    Fiber &fiber = fibers[current];
    fiber.state = state;
    swap(&fiber.context, &scheduler);
}

static void entry() {
    body(body_data);
    wait(finished);  // and is never woken
}

// NaN, and an index far outside: no kernel may rely on what was in shared memory before. A loop of
// its own, because the sanitizer's `memset` would find the space between the arrays.
static void forget(volatile unsigned char *first, volatile unsigned char *last) {
    while (first < last) *first++ = 0xff;
}

// Let those go on that wait for nobody else: a warp, or the whole block.
static bool release(size_t first, size_t last, State state) {
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

static bool run_block(const std::vector<size_t> &order) {
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

static void shuffle(std::vector<size_t> &sequence, uint64_t state) {
    for (size_t i = sequence.size(); i > 1; --i) {
        state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
        std::swap(sequence[i - 1], sequence[(state >> 33) % i]);
    }
}

// order: 0 as numbered, 1 the other way round, others shuffled by that seed
bool run_grid(dim3 grid, dim3 block, size_t shared_bytes, int order, void (*of_thread)(void *),
              void *data) {
    body = of_thread;
    body_data = data;
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

unsigned long long exchanged(unsigned long long value, unsigned source_lane) {
    const size_t self = current, turn = fibers[self].exchanges++ % 2;
    slots[2 * self + turn] = value;
    wait(at_warp);
    const size_t source = self / warpSize * warpSize + source_lane;
    return source < fibers.size() ? slots[2 * source + turn] : value;
}

}  // namespace on_cpu
