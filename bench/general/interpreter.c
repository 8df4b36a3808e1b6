/* SPDX-License-Identifier: Apache-2.0
 *
 * A bytecode interpreter: registers, arithmetic, branches and memory.
 */
#include "../kernels/kernel.h"

enum opcode {
    OP_SET,
    OP_MOVE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_XOR,
    OP_SHIFT,
    OP_LOAD,
    OP_STORE,
    OP_LESS,
    OP_BRANCH,
    OP_JUMP,
    OP_STOP
};

struct instruction {
    uint8_t op, to, a, b;
    int32_t immediate;
};

#define MEMORY_WORDS 4096
#define REGISTERS    16

static uint32_t memory[MEMORY_WORDS];
static uint64_t executed;
static uint32_t answer;

/* A sieve of Eratosthenes and a hash over what is left, 40 times over. */
static const struct instruction program[] = {
    {OP_SET, 15, 0, 0, 40},
    {OP_SET, 14, 0, 0, 0},
    /* 2: clear memory */
    {OP_SET, 1, 0, 0, 0},
    {OP_SET, 2, 0, 0, MEMORY_WORDS},
    {OP_SET, 3, 0, 0, 1},
    {OP_STORE, 0, 1, 3, 0},
    {OP_ADD, 1, 1, 3, 0},
    {OP_LESS, 4, 1, 2, 0},
    {OP_BRANCH, 0, 4, 0, 5},
    /* 9: for each i from 2 that is not struck out */
    {OP_SET, 5, 0, 0, 2},
    {OP_LOAD, 6, 5, 0, 0},
    {OP_BRANCH, 0, 6, 0, 13},
    {OP_JUMP, 0, 0, 0, 20},
    {OP_ADD, 7, 5, 5, 0},
    {OP_LESS, 4, 7, 2, 0},
    {OP_BRANCH, 0, 4, 0, 17},
    {OP_JUMP, 0, 0, 0, 20},
    {OP_STORE, 0, 7, 0, 0},
    {OP_ADD, 7, 7, 5, 0},
    {OP_JUMP, 0, 0, 0, 14},
    {OP_ADD, 5, 5, 3, 0},
    {OP_LESS, 4, 5, 2, 0},
    {OP_BRANCH, 0, 4, 0, 10},
    /* 23: hash what is left */
    {OP_SET, 1, 0, 0, 2},
    {OP_SET, 10, 0, 0, 5},
    {OP_SET, 11, 0, 0, 16777619},
    {OP_LOAD, 6, 1, 0, 0},
    {OP_BRANCH, 0, 6, 0, 29},
    {OP_JUMP, 0, 0, 0, 33},
    {OP_XOR, 14, 14, 1, 0},
    {OP_MUL, 14, 14, 11, 0},
    {OP_SHIFT, 12, 14, 10, 0},
    {OP_XOR, 14, 14, 12, 0},
    {OP_ADD, 1, 1, 3, 0},
    {OP_LESS, 4, 1, 2, 0},
    {OP_BRANCH, 0, 4, 0, 26},
    /* 36: again */
    {OP_SUB, 15, 15, 3, 0},
    {OP_BRANCH, 0, 15, 0, 2},
    {OP_MOVE, 0, 14, 0, 0},
    {OP_STOP, 0, 0, 0, 0},
};

static void
init(void)
{
    executed = 0;
    answer = 0;
}

static uint32_t
interpret(const struct instruction *code)
{
    uint32_t r[REGISTERS] = {0};
    uint64_t count = 0;
    uint32_t pc = 0;

    for (;;) {
        const struct instruction *in = &code[pc++];
        uint32_t a = r[in->a % REGISTERS], b = r[in->b % REGISTERS];
        uint32_t *to = &r[in->to % REGISTERS];

        count++;
        switch ((enum opcode)in->op) {
        case OP_SET:
            *to = (uint32_t)in->immediate;
            break;
        case OP_MOVE:
            *to = a;
            break;
        case OP_ADD:
            *to = a + b;
            break;
        case OP_SUB:
            *to = a - b;
            break;
        case OP_MUL:
            *to = a * b;
            break;
        case OP_XOR:
            *to = a ^ b;
            break;
        case OP_SHIFT:
            *to = a >> (b & 31);
            break;
        case OP_LOAD:
            *to = memory[a % MEMORY_WORDS];
            break;
        case OP_STORE:
            memory[a % MEMORY_WORDS] = b;
            break;
        case OP_LESS:
            *to = a < b;
            break;
        case OP_BRANCH:
            pc = a != 0 ? (uint32_t)in->immediate : pc;
            break;
        case OP_JUMP:
            pc = (uint32_t)in->immediate;
            break;
        case OP_STOP:
            executed += count;
            return r[0];
        }
    }
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 8; pass++)
        answer = answer * 31 + interpret(program);
}

static int64_t
checksum(void)
{
    return (int64_t)(executed * 1000003 + answer);
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 3);
}
