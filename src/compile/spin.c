/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops that wait for another thread's store by plain loads, as C programs do with volatile.
 *
 *      while (!*flag) ;        LLVM: nothing here writes, so the load may be made once
 *
 * In modules with shared memory a load whose address does not change in a loop, and of which it
 * depends whether the loop is left, is made each time: it becomes volatile, and so do those on
 * which other choices in this loop depend. Loads elsewhere stay as they are; a loop of which the
 * end is known by counting has no such load.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "compile/compile_internal.h"

#define LOOKS_MAX 64u /* values looked at behind one condition */
#define DEPTH_MAX 16u

struct block {
    LLVMBasicBlockRef llvm;
    LLVMValueRef end; /* its terminator */
    uint32_t next;    /* successor to be looked at */
    uint32_t first_before, before_count;
    uint32_t loop; /* of the loop that is looked at, where it is this number */
    bool is_open, is_seen;
};

struct graph {
    const struct unit *unit;
    struct block *blocks; /* owned; by address */
    uint32_t *before;     /* owned; predecessors */
    uint32_t *work;       /* owned; on the way from the entry */
    uint32_t *body;       /* owned; of the loop */
    uint32_t count, loop, looks;
    bool has_kept; /* in this loop */
};

static int
by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct block *)a)->llvm;
    uintptr_t y = (uintptr_t)((const struct block *)b)->llvm;

    return (x > y) - (x < y);
}

static uint32_t
index_of(const struct graph *graph, LLVMBasicBlockRef llvm)
{
    const struct block key = {.llvm = llvm};
    const struct block *found = bsearch(&key, graph->blocks, graph->count, sizeof(key), by_address);

    ASSERT(found != NULL);
    return (uint32_t)(found - graph->blocks);
}

static uint32_t
successor_count(const struct block *block)
{
    return LLVMGetNumSuccessors(block->end);
}

static uint32_t
successor(const struct graph *graph, const struct block *block, uint32_t number)
{
    return index_of(graph, LLVMGetSuccessor(block->end, number));
}

static void
find_before(struct graph *graph)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < graph->count; i++)
        for (uint32_t k = 0; k < successor_count(&graph->blocks[i]); k++)
            graph->blocks[successor(graph, &graph->blocks[i], k)].before_count++;
    for (uint32_t i = 0; i < graph->count; i++) {
        graph->blocks[i].first_before = total;
        total += graph->blocks[i].before_count;
        graph->blocks[i].before_count = 0;
    }
    graph->before = emit_allocate(total, sizeof(*graph->before));
    for (uint32_t i = 0; i < graph->count; i++)
        for (uint32_t k = 0; k < successor_count(&graph->blocks[i]); k++) {
            struct block *to = &graph->blocks[successor(graph, &graph->blocks[i], k)];

            graph->before[to->first_before + to->before_count++] = i;
        }
}

static void
open_graph(struct graph *graph, const struct unit *unit, LLVMValueRef function)
{
    LLVMBasicBlockRef llvm = LLVMGetFirstBasicBlock(function);

    *graph = (struct graph){.unit = unit, .count = LLVMCountBasicBlocks(function)};
    graph->blocks = emit_allocate(graph->count, sizeof(*graph->blocks));
    graph->work = emit_allocate(graph->count, sizeof(*graph->work));
    graph->body = emit_allocate(graph->count, sizeof(*graph->body));
    for (uint32_t i = 0; i < graph->count; i++, llvm = LLVMGetNextBasicBlock(llvm))
        graph->blocks[i] = (struct block){.llvm = llvm, .end = LLVMGetBasicBlockTerminator(llvm)};
    qsort(graph->blocks, graph->count, sizeof(*graph->blocks), by_address);
    find_before(graph);
}

static void
close_graph(struct graph *graph)
{
    free(graph->blocks);
    free(graph->before);
    free(graph->work);
    free(graph->body);
}

/* ------------------------------------------------------------------------------- loads */

static bool
is_inside(const struct graph *graph, LLVMValueRef value)
{
    LLVMBasicBlockRef llvm =
        LLVMIsAInstruction(value) != NULL ? LLVMGetInstructionParent(value) : NULL;

    return llvm != NULL && graph->blocks[index_of(graph, llvm)].loop == graph->loop;
}

/* The same in each round, but for what others store. */
static bool
is_fixed(struct graph *graph, LLVMValueRef value, uint32_t depth)
{
    if (!is_inside(graph, value))
        return true;
    if (depth == DEPTH_MAX || graph->looks == 0 || LLVMIsAPHINode(value) != NULL ||
        LLVMIsACallInst(value) != NULL || LLVMIsAInvokeInst(value) != NULL)
        return false;
    graph->looks--;
    for (int i = 0; i < LLVMGetNumOperands(value); i++)
        if (!is_fixed(graph, LLVMGetOperand(value, (unsigned)i), depth + 1))
            return false;
    return true;
}

static bool
is_of_memory(const struct graph *graph, LLVMValueRef load)
{
    LLVMValueRef at = LLVMGetOperand(load, 0);

    while (LLVMIsAGetElementPtrInst(at) != NULL)
        at = LLVMGetOperand(at, 0);
    return LLVMIsACallInst(at) != NULL && LLVMGetCalledValue(at) == graph->unit->base;
}

static void
keep(struct graph *graph, LLVMValueRef load)
{
    LLVMSetVolatile(load, true);
    graph->has_kept = true;
}

/* The loads behind a value on which it depends whether the loop is left. */
static void
keep_loads(struct graph *graph, LLVMValueRef value, uint32_t depth)
{
    if (depth == DEPTH_MAX || graph->looks == 0 || !is_inside(graph, value) ||
        LLVMIsACallInst(value) != NULL || LLVMIsAInvokeInst(value) != NULL)
        return;
    graph->looks--;
    if (LLVMIsALoadInst(value) != NULL && LLVMGetOrdering(value) == LLVMAtomicOrderingNotAtomic &&
        is_of_memory(graph, value) && is_fixed(graph, LLVMGetOperand(value, 0), 0))
        keep(graph, value);
    for (int i = 0; i < LLVMGetNumOperands(value); i++)
        keep_loads(graph, LLVMGetOperand(value, (unsigned)i), depth + 1);
}

static bool
is_exit(const struct graph *graph, const struct block *block)
{
    for (uint32_t k = 0; k < successor_count(block); k++)
        if (graph->blocks[successor(graph, block, k)].loop != graph->loop)
            return true;
    return false;
}

static void
look_at_choice(struct graph *graph, const struct block *block)
{
    graph->looks = LOOKS_MAX;
    if (LLVMIsASwitchInst(block->end) != NULL ||
        (LLVMIsABranchInst(block->end) != NULL && LLVMIsConditional(block->end)))
        keep_loads(graph, LLVMGetOperand(block->end, 0), 0);
}

/* ------------------------------------------------------------------------------- loops */

static void
add(struct graph *graph, uint32_t index, uint32_t *count)
{
    if (graph->blocks[index].loop == graph->loop)
        return;
    graph->blocks[index].loop = graph->loop;
    graph->body[(*count)++] = index;
}

/* All from which one comes to the block that goes back to the head, but not through it. */
static void
look_at_loop(struct graph *graph, uint32_t head, uint32_t last)
{
    uint32_t count = 0;

    graph->loop++;
    add(graph, head, &count);
    add(graph, last, &count);
    for (uint32_t i = 1; i < count; i++) {
        const struct block *block = &graph->blocks[graph->body[i]];

        for (uint32_t k = 0; k < block->before_count; k++)
            add(graph, graph->before[block->first_before + k], &count);
    }
    graph->has_kept = false;
    for (uint32_t i = 0; i < count; i++)
        if (is_exit(graph, &graph->blocks[graph->body[i]]))
            look_at_choice(graph, &graph->blocks[graph->body[i]]);
    /* Who waits may look at more, and do something about it then. */
    for (uint32_t i = 0; graph->has_kept && i < count; i++)
        look_at_choice(graph, &graph->blocks[graph->body[i]]);
}

static void
look_at_loops(struct graph *graph, LLVMBasicBlockRef entry)
{
    uint32_t depth = 0;

    graph->work[depth++] = index_of(graph, entry);
    graph->blocks[graph->work[0]].is_open = graph->blocks[graph->work[0]].is_seen = true;
    while (depth > 0) {
        uint32_t at = graph->work[depth - 1], to;
        struct block *block = &graph->blocks[at];

        if (block->next == successor_count(block)) {
            block->is_open = false;
            depth--;
            continue;
        }
        to = successor(graph, block, block->next++);
        if (graph->blocks[to].is_open)
            look_at_loop(graph, to, at);
        if (graph->blocks[to].is_seen)
            continue;
        graph->blocks[to].is_open = graph->blocks[to].is_seen = true;
        graph->work[depth++] = to;
    }
}

void
unit_keep_spins(struct unit *unit)
{
    struct graph graph;

    for (LLVMValueRef function = LLVMGetFirstFunction(unit->llvm); function != NULL;
         function = LLVMGetNextFunction(function)) {
        if (LLVMCountBasicBlocks(function) < 2)
            continue;
        open_graph(&graph, unit, function);
        look_at_loops(&graph, LLVMGetEntryBasicBlock(function));
        close_graph(&graph);
    }
}
