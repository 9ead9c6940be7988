"""The run of kernels on the CPU finds the mistakes that it is there for."""

from __future__ import annotations

import sys

import numpy as np
import processes
import pytest
from on_cpu import NEEDS_COMPILER, cuda_on_cpu, environment

from arraycon.kernels.gpu.tools import source

pytestmark = NEEDS_COMPILER

LaunchError = cuda_on_cpu.LaunchError
ORDERS = (0, 1, 2)

REVERSE = """
extern "C" __global__ void reverse(const float *x, float *y, long long size) {
    __shared__ float kept[64];
    kept[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = kept[size - 1 - threadIdx.x];
}
"""
SCALE = """
extern "C" __global__ void scale(const double *x, double *y, double factor, double offset) {
    y[threadIdx.x] = factor * x[threadIdx.x] + offset;
}
"""


def launch(code, *args, grid=(1,), block=(64,), name=None, **options):
    names = cuda_on_cpu.KERNEL.findall(code)
    cuda_on_cpu.launch(code, name or names[0], grid, block, args, **options)


def reversed_numbers(code, order):
    x, y = np.arange(64, dtype="float32"), np.full(64, np.nan, "float32")
    launch(code, x, y, np.int64(64), order=order)
    return y


@pytest.mark.parametrize("order", ORDERS)
def test_a_correct_kernel(order):
    np.testing.assert_array_equal(reversed_numbers(REVERSE, order), np.arange(64)[::-1])


def test_a_missing_barrier_makes_the_order_matter():
    code = REVERSE.replace("__syncthreads();", "")
    results = [reversed_numbers(code, order) for order in ORDERS]
    for result in results:
        assert not np.array_equal(result, np.arange(64)[::-1])
    assert not np.array_equal(results[0], results[1], equal_nan=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("threads", [32, 96, 1024])
def test_sums_over_warps_and_blocks(threads, order):
    code = source.program("clamp", "float32").partition("// Ranges of")[0]
    code += """
    extern "C" __global__ void sums(const double *x, double *of_block, double *of_warp) {
        const double value = x[threadIdx.x], of_my_warp = warp_sum(value);
        if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = of_my_warp;
        for (int turn = 0; turn < 2; ++turn) {
            const double sum = block_sum(turn + value);
            if (threadIdx.x == 0) of_block[turn] = sum;
        }
    }
    """
    x, of_block, of_warp = np.arange(float(threads)), np.zeros(2), np.zeros(threads // 32)
    launch(code, x, of_block, of_warp, block=(threads,), order=order)
    np.testing.assert_array_equal(of_block, [x.sum(), x.sum() + threads])
    np.testing.assert_array_equal(of_warp, x.reshape(-1, 32).sum(axis=1))


@pytest.mark.parametrize("memory", ["__shared__ float kept[64];", "SHARED(float, kept);"])
def test_shared_memory_holds_nothing_at_first(memory):
    """Neither zeros nor what the last block has left there."""
    code = """
    extern "C" __global__ void leave(float *x) {
        MEMORY
        x[blockIdx.x * 64 + threadIdx.x] = kept[threadIdx.x];
        kept[threadIdx.x] = 1;
    }
    """
    x = np.zeros(128, "float32")
    launch(code.replace("MEMORY", memory), x, grid=(2,), shared=256)
    assert np.all(np.isnan(x))


@pytest.mark.parametrize(
    "body",
    [
        "if (threadIdx.x % 2) __syncthreads(); else __syncwarp();",
        "if (threadIdx.x < 40) __syncthreads(); else *x = __shfl_down_sync(0xffffffffu, *x, 1);",
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_threads_that_wait_for_each_other_in_vain(body, order):
    code = 'extern "C" __global__ void hang(double *x) { %s }' % body  # noqa: UP031 (braces)
    with pytest.raises(LaunchError, match="hang: some threads of a block wait"):
        launch(code, np.zeros(1), order=order)


def test_swapped_arguments_of_different_types():
    x, y = np.zeros(64), np.zeros(64, "float32")
    code = REVERSE.replace("const float *x", "const double *x")
    launch(code, x, y, np.int64(64))
    with pytest.raises(LaunchError, match="argument 0 has another type than the kernel's: nda"):
        launch(code, y, x, np.int64(64))
    with pytest.raises(LaunchError, match="argument 1 has another type"):
        launch(code, x, np.int64(64), y)


def test_swapped_arguments_of_the_same_type_give_other_numbers():
    x, right, wrong = np.arange(64.0), np.zeros(64), np.zeros(64)
    launch(SCALE, x, right, np.float64(2), np.float64(1))
    launch(SCALE, x, wrong, np.float64(1), np.float64(2))
    np.testing.assert_array_equal(right, 2 * x + 1)
    np.testing.assert_array_equal(wrong, x + 2)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (np.float32(1), "argument 2 has another type than the kernel's: float32"),
        (np.int64(1), "argument 2 has another type than the kernel's: int64"),
        (1.0, "argument 2: expected a NumPy scalar, got float"),
    ],
)
def test_scalars_of_another_width(factor, message):
    with pytest.raises(LaunchError, match=message):
        launch(SCALE, np.zeros(64), np.zeros(64), factor, np.float64(1))


def test_other_impossible_launches():
    x = np.zeros(64)
    numbers = np.float64(1), np.float64(0)
    with pytest.raises(LaunchError, match="there is no kernel shrink"):
        launch(SCALE, x, x, *numbers, name="shrink")
    with pytest.raises(LaunchError, match="expected 4 arguments, got 3"):
        launch(SCALE, x, x, numbers[0])
    with pytest.raises(LaunchError, match="more than 1024 threads"):
        launch(SCALE, x, x, *numbers, block=(32, 33))
    with pytest.raises(LaunchError, match="are to be positive"):
        launch(SCALE, x, x, *numbers, grid=(0,))
    with pytest.raises(LaunchError, match="may exceed 65535"):
        launch(SCALE, x, x, *numbers, grid=(1, 65536))
    with pytest.raises(LaunchError, match="argument 0: expected a contiguous array"):
        launch(SCALE, np.zeros(128)[::2], x, *numbers)
    with pytest.raises(LaunchError, match=r"(?s)does not compile.*undeclared"):
        launch(SCALE.replace("factor *", "undeclared *"), x, x, *numbers)


FAULTY = """
import sys
import numpy as np
import cuda_on_cpu

code = '''
extern "C" __global__ void write(float *x, long long end) {
    for (int i = threadIdx.x; i < end; i += 64) x[i] = 1;
}
extern "C" __global__ void read(float *x, long long end) {
    float sum = 0;
    for (int i = threadIdx.x; i < end; i += 64) sum += x[i];
    x[threadIdx.x] = sum;
}
extern "C" __global__ void share(float *x, long long end) {
    SHARED(float, kept);
    for (int i = threadIdx.x; i < end; i += 64) kept[i] = 1;
}
extern "C" __global__ void declare(float *x, long long end) {
    __shared__ float kept[64];
    float *place = x[0] > 0 ? x : kept;
    for (int i = threadIdx.x; i < end; i += 64) place[i] = 1;
}
extern "C" __global__ void overflow(float *x, long long end) {
    int i = 2147483583 + (int)end;
    x[threadIdx.x] = i > 0;
}
'''
name, end = sys.argv[1], np.int64(sys.argv[2])
cuda_on_cpu.launch(code, name, (1,), (64,), (np.zeros(64, "float32"), end), shared=256)
print("no complaint")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("write", "AddressSanitizer: heap-buffer-overflow"),
        ("read", "AddressSanitizer: heap-buffer-overflow"),
        ("share", "AddressSanitizer: heap-buffer-overflow"),
        ("declare", "AddressSanitizer: global-buffer-overflow"),
        ("overflow", "runtime error: signed integer overflow"),
    ],
)
def test_one_element_past_the_end(name, complaint):
    for end in (64, 65):
        command = [sys.executable, "-c", FAULTY, name, str(end)]
        done = processes.run(command, env=environment(), capture_output=True, text=True)
        if end == 64:
            assert done.returncode == 0, done.stderr
            assert "no complaint" in done.stdout
        else:
            assert done.returncode
            assert complaint in done.stderr
