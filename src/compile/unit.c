/* SPDX-License-Identifier: Apache-2.0
 *
 * One partition: its LLVM context, types and declarations.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Support.h>
#include <llvm-c/Target.h>

#include "compile/compile_internal.h"

#define TRIPLE "x86_64-unknown-linux-gnu"

/* What System V and tailcc have for parameters. */
#define INTEGER_REGISTERS 6u
#define VECTOR_REGISTERS  8u

static pthread_once_t llvm_once = PTHREAD_ONCE_INIT;

static void
initialise_llvm(void)
{
    static const char *const arguments[] = {
        "weft",
        /* Stencils over many arrays need more overlap checks than the default. */
        "-runtime-memory-check-threshold=200",
        /* A loop of 16 steps is for the vectoriser, not for the unroller, and as
         * wide as its narrowest element allows. */
        "-unroll-full-max-count=8",
        "-vectorizer-maximize-bandwidth",
        /* The stack pointer stands still between prologue and epilogue, so a
         * landing pad finds its frame. */
        "-no-x86-call-frame-opt",
    };

    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMParseCommandLineOptions((int)ARRAY_COUNT(arguments), arguments, NULL);
}

static int
create_machine(struct unit *unit, struct diag *diag)
{
    static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelLess, LLVMCodeGenLevelDefault,
                                                 LLVMCodeGenLevelDefault,
                                                 LLVMCodeGenLevelAggressive};
    const struct compile_options *options = unit->plan->options;
    bool is_native = strcmp(options->cpu, "native") == 0;
    char *cpu = is_native ? LLVMGetHostCPUName() : NULL;
    char *features = is_native ? LLVMGetHostCPUFeatures() : NULL;
    LLVMTargetRef target;
    char *error = NULL;
    int err = 0;

    if (LLVMGetTargetFromTriple(TRIPLE, &target, &error)) {
        err = diag_set(diag, -EIO, "LLVM has no target %s: %s", TRIPLE, error);
        LLVMDisposeMessage(error);
    } else {
        unit->machine = LLVMCreateTargetMachine(target, TRIPLE, is_native ? cpu : options->cpu,
                                                is_native ? features : "", levels[options->level],
                                                LLVMRelocPIC, LLVMCodeModelSmall);
        if (unit->machine == NULL)
            err = diag_set(diag, -EIO, "LLVM refuses the CPU %s", options->cpu);
    }
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return err;
}

static void
create_types(struct unit *unit)
{
    LLVMContextRef context = unit->context;
    struct unit_types *types = &unit->types;

    types->void_ = LLVMVoidTypeInContext(context);
    types->i1 = LLVMInt1TypeInContext(context);
    types->i8 = LLVMInt8TypeInContext(context);
    types->i16 = LLVMInt16TypeInContext(context);
    types->i32 = LLVMInt32TypeInContext(context);
    types->i64 = LLVMInt64TypeInContext(context);
    types->f32 = LLVMFloatTypeInContext(context);
    types->f64 = LLVMDoubleTypeInContext(context);
    types->v16i8 = LLVMVectorType(types->i8, 16);
    types->v8i16 = LLVMVectorType(types->i16, 8);
    types->v4i32 = LLVMVectorType(types->i32, 4);
    types->v2i64 = types->v128 = LLVMVectorType(types->i64, 2);
    types->v4f32 = LLVMVectorType(types->f32, 4);
    types->v2f64 = LLVMVectorType(types->f64, 2);
    types->pointer = LLVMPointerTypeInContext(context, 0);
    types->guest = LLVMPointerTypeInContext(context, GUEST_SPACE);
}

static LLVMMetadataRef
metadata_string(struct unit *unit, const char *text)
{
    return LLVMMDStringInContext2(unit->context, text, strlen(text));
}

static LLVMMetadataRef
metadata_int(LLVMTypeRef type, uint64_t value)
{
    return LLVMValueAsMetadata(LLVMConstInt(type, value, 0));
}

/* Access tags of type-based alias analysis: one scalar type for each kind. */
static void
create_metadata(struct unit *unit)
{
    static const char *const names[ALIAS_COUNT] = {"memory", "context", "global", "table",
                                                   "constant"};
    LLVMMetadataRef root = metadata_string(unit, "weft");
    LLVMMetadataRef zero = metadata_int(unit->types.i64, 0);
    LLVMMetadataRef weights[3];

    root = LLVMMDNodeInContext2(unit->context, &root, 1);
    for (int i = 0; i < ALIAS_COUNT; i++) {
        LLVMMetadataRef fields[4] = {metadata_string(unit, names[i]), root, zero};
        LLVMMetadataRef type = LLVMMDNodeInContext2(unit->context, fields, 3);

        fields[0] = fields[1] = type;
        fields[2] = zero;
        fields[3] = metadata_int(unit->types.i64, 1);
        unit->alias[i] =
            LLVMMetadataAsValue(unit->context, LLVMMDNodeInContext2(unit->context, fields,
                                                                    i == ALIAS_CONSTANT ? 4 : 3));
    }
    unit->tbaa_kind = LLVMGetMDKindIDInContext(unit->context, "tbaa", 4);
    unit->prof_kind = LLVMGetMDKindIDInContext(unit->context, "prof", 4);
    weights[0] = metadata_string(unit, "branch_weights");
    weights[1] = metadata_int(unit->types.i32, 1);
    weights[2] = metadata_int(unit->types.i32, 1u << 20);
    unit->unlikely =
        LLVMMetadataAsValue(unit->context, LLVMMDNodeInContext2(unit->context, weights, 3));
}

void
unit_set_flag(struct unit *unit, LLVMValueRef function, const char *name, uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(unit->context, kind, value));
}

void
unit_set_attribute(struct unit *unit, LLVMValueRef function, const char *name, const char *value)
{
    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(unit->context, name, (unsigned)strlen(name),
                                                      value, (unsigned)strlen(value)));
}

/* A base that LLVM cannot see into: pure, so that one call serves a function. */
static LLVMValueRef
declare_base(struct unit *unit, const char *name)
{
    LLVMTypeRef type = LLVMFunctionType(unit->types.guest, NULL, 0, 0);
    LLVMValueRef function = LLVMAddFunction(unit->llvm, name, type);

    unit_set_flag(unit, function, "memory", 0); /* none */
    unit_set_flag(unit, function, "nounwind", 0);
    unit_set_flag(unit, function, "willreturn", 0);
    unit_set_flag(unit, function, "speculatable", 0);
    return function;
}

static void
declare_runtime(struct unit *unit)
{
    LLVMTypeRef params[2] = {unit->types.i64, unit->types.i32};

    unit->base = declare_base(unit, UNIT_BASE);
    unit->frame = declare_base(unit, UNIT_FRAME);
    unit->call =
        LLVMAddFunction(unit->llvm, "weft_call", LLVMFunctionType(unit->types.void_, params, 2, 0));
    LLVMSetVisibility(unit->call, LLVMHiddenVisibility);
    if (!unit->plan->has_exceptions)
        unit_set_flag(unit, unit->call, "nounwind", 0);
}

int
unit_create(const struct compile_plan *plan, uint32_t partition, struct unit **out,
            struct diag *diag)
{
    struct unit *unit = calloc(1, sizeof(*unit));
    LLVMTargetDataRef layout;
    int err;

    if (unit == NULL)
        return diag_set(diag, -ENOMEM, "out of memory");
    (void)pthread_once(&llvm_once, initialise_llvm);
    unit->plan = plan;
    unit->module = plan->module;
    unit->partition = partition;
    unit->functions = calloc(plan->module->function_count + 1u, sizeof(LLVMValueRef));
    unit->signatures = calloc(plan->module->type_count + 1u, sizeof(LLVMTypeRef));
    err =
        unit->functions == NULL || unit->signatures == NULL ? -ENOMEM : create_machine(unit, diag);
    if (err != 0)
        goto destroy;
    unit->context = LLVMContextCreate();
    LLVMContextSetDiscardValueNames(unit->context, 1);
    unit->llvm = LLVMModuleCreateWithNameInContext("module", unit->context);
    unit->builder = LLVMCreateBuilderInContext(unit->context);
    LLVMSetTarget(unit->llvm, TRIPLE);
    layout = LLVMCreateTargetDataLayout(unit->machine);
    LLVMSetModuleDataLayout(unit->llvm, layout);
    LLVMDisposeTargetData(layout);
    create_types(unit);
    create_metadata(unit);
    declare_runtime(unit);
    err = compile_lines_create(unit);
    if (err != 0)
        goto destroy;
    *out = unit;
    return 0;

destroy:
    unit_destroy(unit);
    return diag_set(diag, err, "out of memory");
}

void
unit_destroy(struct unit *unit)
{
    if (unit == NULL)
        return;
    if (unit->context != NULL) {
        compile_lines_destroy(unit);
        LLVMDisposeBuilder(unit->builder);
        LLVMDisposeModule(unit->llvm);
        LLVMContextDispose(unit->context);
    }
    if (unit->machine != NULL)
        LLVMDisposeTargetMachine(unit->machine);
    free(unit->functions);
    free(unit->signatures);
    free(unit);
}

LLVMTypeRef
unit_type(const struct unit *unit, uint8_t wasm_type)
{
    switch (wasm_type) {
    case WASM_I32:
        return unit->types.i32;
    case WASM_F32:
        return unit->types.f32;
    case WASM_F64:
        return unit->types.f64;
    case WASM_V128:
        return unit->types.v128;
    default: /* i64 and references */
        return unit->types.i64;
    }
}

uint32_t
unit_hidden_count(const struct unit *unit, const struct wasm_func_type *type)
{
    if (unit->plan->mode == ABI_STANDALONE)
        return 0;
    return unit->plan->mode == ABI_LINKED && type->result_count > 1 ? 2 : 1;
}

uint32_t
unit_register_params(const struct unit *unit, const struct wasm_func_type *type)
{
    uint32_t integers = INTEGER_REGISTERS - unit_hidden_count(unit, type);
    uint32_t vectors = VECTOR_REGISTERS;
    uint32_t count = 0;

    if (!unit->plan->use_tailcc)
        return type->param_count;
    for (; count < type->param_count; count++) {
        uint8_t kind = type->params[count];
        bool is_vector = kind == WASM_F32 || kind == WASM_F64 || kind == WASM_V128;
        uint32_t *left = is_vector ? &vectors : &integers;

        if (*left == 0)
            break;
        (*left)--;
    }
    return count;
}

LLVMTypeRef
unit_signature_of(struct unit *unit, const struct wasm_func_type *type)
{
    uint32_t hidden = unit_hidden_count(unit, type);
    uint32_t count = unit_register_params(unit, type);
    LLVMTypeRef *params = emit_allocate(count + hidden, sizeof(LLVMTypeRef));
    LLVMTypeRef result =
        type->result_count == 0 ? unit->types.void_ : unit_type(unit, type->results[0]);
    LLVMTypeRef signature;

    for (uint32_t i = 0; i < hidden; i++)
        params[i] = unit->types.i64;
    for (uint32_t i = 0; i < count; i++)
        params[i + hidden] = unit_type(unit, type->params[i]);
    signature = LLVMFunctionType(result, params, count + hidden, 0);
    free(params);
    return signature;
}

LLVMTypeRef
unit_signature(struct unit *unit, uint32_t type)
{
    if (unit->signatures[type] == NULL)
        unit->signatures[type] = unit_signature_of(unit, &unit->module->types[type]);
    return unit->signatures[type];
}

static LLVMCallConv
call_convention(const struct unit *unit)
{
    const unsigned tailcc = 18; /* llvm::CallingConv::Tail */

    return unit->plan->use_tailcc ? (LLVMCallConv)tailcc : LLVMCCallConv;
}

/* A thread's context is in r13, which a callee keeps: nobody moves it from call to call. */
static LLVMAttributeRef
context_attribute(struct unit *unit)
{
    return LLVMCreateEnumAttribute(unit->context, LLVMGetEnumAttributeKindForName("swiftself", 9),
                                   0);
}

void
unit_set_convention(struct unit *unit, LLVMValueRef function)
{
    LLVMSetFunctionCallConv(function, call_convention(unit));
    if (unit->plan->mode == ABI_THREADED)
        LLVMAddAttributeAtIndex(function, 1, context_attribute(unit));
}

void
unit_set_call_convention(struct unit *unit, LLVMValueRef call)
{
    LLVMSetInstructionCallConv(call, call_convention(unit));
    if (unit->plan->mode == ABI_THREADED)
        LLVMAddCallSiteAttribute(call, 1, context_attribute(unit));
}

void
unit_guest_attributes(struct unit *unit, LLVMValueRef function)
{
    unit_set_flag(unit, function, "uwtable", 2); /* exact at every instruction */
    if (!unit->plan->has_exceptions)
        unit_set_flag(unit, function, "nounwind", 0);
    /* As clang does: a name like x86-64-v3 is a set of instructions, and the
     * processor that LLVM would tune for then is ten years old. */
    if (strcmp(unit->plan->options->cpu, "native") != 0)
        unit_set_attribute(unit, function, "tune-cpu", "generic");
    unit_set_attribute(unit, function, "frame-pointer", "none");
    unit_set_attribute(unit, function, "no-realign-stack", "true");
    unit_set_attribute(unit, function, "probe-stack", "inline-asm");
    unit_set_attribute(unit, function, "no-builtins", "true");
    /* LLVM 19 takes |x| > 0 for x > 0 where it is joined with another test of x, unless
     * denormals may count as zero; they do not, and nothing else changes. */
    unit_set_attribute(unit, function, "denormal-fp-math", "ieee,dynamic");
    /* A runaway recursion exhausts the stack, it does not become a loop; calls
     * that the module wants to be tail calls are so all the same. */
    unit_set_attribute(unit, function, "disable-tail-calls", "true");
}

LLVMValueRef
unit_function(struct unit *unit, uint32_t index)
{
    uint32_t type = unit->module->functions[index].type;
    char name[256];
    LLVMValueRef function = unit->functions[index];

    if (function != NULL)
        return function;
    compile_symbol(unit->plan, index, name, sizeof(name));
    function = LLVMAddFunction(unit->llvm, name, unit_signature(unit, type));
    unit_set_convention(unit, function);
    if (unit->plan->partition_count == 1)
        LLVMSetLinkage(function, LLVMInternalLinkage);
    else
        LLVMSetVisibility(function, LLVMHiddenVisibility);
    unit_guest_attributes(unit, function);
    unit->functions[index] = function;
    return function;
}

LLVMValueRef
unit_intrinsic(struct unit *unit, const char *name, LLVMTypeRef *types, unsigned count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));

    return LLVMGetIntrinsicDeclaration(unit->llvm, id, types, count);
}

void
unit_visit(struct unit *unit, unit_visit_fn visit)
{
    LLVMBuilderRef builder = LLVMCreateBuilderInContext(unit->context);

    for (LLVMValueRef f = LLVMGetFirstFunction(unit->llvm); f != NULL; f = LLVMGetNextFunction(f))
        for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b != NULL;
             b = LLVMGetNextBasicBlock(b))
            for (LLVMValueRef i = LLVMGetFirstInstruction(b); i != NULL;
                 i = LLVMGetNextInstruction(i))
                visit(builder, i);
    LLVMDisposeBuilder(builder);
}

int
unit_emit(struct unit *unit, struct diag *diag)
{
    uint32_t end = unit->plan->partition_first[unit->partition + 1];
    int err = 0;

    for (uint32_t i = unit->plan->partition_first[unit->partition]; i < end && err == 0; i++)
        err = emit_function(unit, i, diag);
    if (err == 0 && unit->partition == 0)
        err = unit_emit_glue(unit, diag);
    if (err == 0)
        compile_lines_finish(unit);
    return err;
}
