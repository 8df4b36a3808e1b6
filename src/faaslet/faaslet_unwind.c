/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest frames, from the unwind tables of images (.eh_frame_hdr, .eh_frame,
 * .gcc_except_table). Only what compiled guest code uses: rules are "same as
 * before" and "saved at CFA + offset", the CFA is a register plus an offset.
 *
 * Tables are read through the image's file with bounds; the stack is read inside
 * its bounds. So a damaged table or stack ends the walk, nothing else.
 */
#include <string.h>

#include "faaslet/faaslet_internal.h"

#define PE_OMIT          0xff
#define PE_ABSPTR        0x00
#define PE_ULEB128       0x01
#define PE_UDATA4        0x03
#define PE_SDATA4        0x0b
#define PE_PCREL         0x10
#define PE_DATAREL       0x30
#define PE_RELATIVE_MASK 0x70

#define TABLE_BYTES_MAX 0x10000000u
#define STATES_MAX      8u

/* DWARF numbers of the registers that are kept. */
enum {
    DW_RBX = 3,
    DW_RBP = 6,
    DW_RSP = 7,
    DW_R12 = 12,
    DW_RA = 16,
    DW_COUNT = 17,
};

/* A cursor over bytes of the image; reading past the end sets is_bad. */
struct cursor {
    const uint8_t *at, *end;
    uint64_t address; /* of at */
    bool is_bad;
};

static void
cursor_init(struct cursor *cursor, const struct faaslet_image *image, uint64_t address,
            size_t count)
{
    cursor->at = image_bytes_at(image, address, count);
    cursor->is_bad = cursor->at == NULL;
    cursor->end = cursor->is_bad ? NULL : cursor->at + count;
    cursor->address = address;
}

/* All bytes from the address to the end of its segment. */
static void
cursor_init_rest(struct cursor *cursor, const struct faaslet_image *image, uint64_t address)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct image_segment *segment = &image->segments[i];

        if (address >= segment->first && address < segment->end) {
            cursor_init(cursor, image, address, segment->end - address);
            return;
        }
    }
    *cursor = (struct cursor){.is_bad = true};
}

static uint64_t
take(struct cursor *cursor, size_t count)
{
    uint64_t value = 0;

    if (cursor->is_bad || (size_t)(cursor->end - cursor->at) < count) {
        cursor->is_bad = true;
        return 0;
    }
    (void)memcpy(&value, cursor->at, count);
    cursor->at += count;
    cursor->address += count;
    return value;
}

static void
skip(struct cursor *cursor, uint64_t count)
{
    if (cursor->is_bad || (uint64_t)(cursor->end - cursor->at) < count) {
        cursor->is_bad = true;
        return;
    }
    cursor->at += count;
    cursor->address += count;
}

static uint64_t
take_uleb(struct cursor *cursor)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = take(cursor, 1);

        value |= (byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
    cursor->is_bad = true;
    return 0;
}

static int64_t
take_sleb(struct cursor *cursor)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64;) {
        uint64_t byte = take(cursor, 1);

        value |= (byte & 0x7f) << shift;
        shift += 7;
        if ((byte & 0x80) != 0)
            continue;
        if (shift < 64 && (byte & 0x40) != 0)
            value |= ~UINT64_C(0) << shift;
        return (int64_t)value;
    }
    cursor->is_bad = true;
    return 0;
}

static uint64_t
take_encoded(struct cursor *cursor, uint8_t encoding)
{
    uint64_t place = cursor->address;
    uint64_t value;

    switch (encoding & 0x0f) {
    case PE_ABSPTR:
        value = take(cursor, 8);
        break;
    case PE_ULEB128:
        value = take_uleb(cursor);
        break;
    case PE_UDATA4:
        value = take(cursor, 4);
        break;
    case PE_SDATA4:
        value = (uint64_t)(int64_t)(int32_t)take(cursor, 4);
        break;
    default:
        cursor->is_bad = true;
        return 0;
    }
    if ((encoding & PE_RELATIVE_MASK) == PE_PCREL && value != 0)
        value += place;
    else if ((encoding & PE_RELATIVE_MASK) != 0)
        cursor->is_bad = true;
    return value;
}

/* ------------------------------------------------------------------- CIE and FDE */

struct description {
    uint64_t first, end; /* code */
    uint64_t lsda;       /* or 0 */
    uint64_t code_align;
    int64_t data_align;
    struct cursor initial, instructions;
};

/* The body of the record at an address: after its length. */
static bool
open_record(const struct faaslet_image *image, uint64_t address, struct cursor *out)
{
    struct cursor head;
    uint64_t length;

    cursor_init(&head, image, address, 4);
    length = take(&head, 4);
    if (head.is_bad || length == 0 || length > TABLE_BYTES_MAX)
        return false;
    cursor_init(out, image, address + 4, length);
    return !out->is_bad;
}

struct cie {
    uint8_t pointer_encoding, lsda_encoding;
};

static bool
read_cie(const struct faaslet_image *image, uint64_t address, struct description *d,
         struct cie *cie)
{
    struct cursor c, end;
    const char *augmentation;
    uint64_t version, bytes;

    if (!open_record(image, address, &c) || take(&c, 4) != 0)
        return false;
    version = take(&c, 1);
    augmentation = (const char *)c.at;
    while (!c.is_bad && take(&c, 1) != 0)
        ;
    if (c.is_bad || (version != 1 && version != 3) || augmentation[0] != 'z')
        return false;
    d->code_align = take_uleb(&c);
    d->data_align = take_sleb(&c);
    if ((version == 1 ? take(&c, 1) : take_uleb(&c)) != DW_RA)
        return false;
    bytes = take_uleb(&c);
    end = c;
    skip(&end, bytes);
    cie->lsda_encoding = PE_OMIT;
    for (augmentation++; *augmentation != '\0' && !c.is_bad; augmentation++) {
        if (*augmentation == 'R')
            cie->pointer_encoding = (uint8_t)take(&c, 1);
        else if (*augmentation == 'L')
            cie->lsda_encoding = (uint8_t)take(&c, 1);
        else if (*augmentation == 'P')
            (void)take_encoded(&c, (uint8_t)(take(&c, 1) & 0x7f));
        else
            return false;
    }
    d->initial = end;
    return !c.is_bad && !end.is_bad;
}

static bool
read_fde(const struct faaslet_image *image, uint64_t address, struct description *d)
{
    struct cie cie = {0};
    struct cursor c;
    uint64_t cie_place, bytes;

    if (!open_record(image, address, &c))
        return false;
    cie_place = c.address;
    cie_place -= take(&c, 4);
    if (c.is_bad || !read_cie(image, cie_place, d, &cie))
        return false;
    d->first = take_encoded(&c, cie.pointer_encoding);
    d->end = d->first + take_encoded(&c, cie.pointer_encoding & 0x0f);
    bytes = take_uleb(&c);
    d->instructions = c;
    skip(&d->instructions, bytes);
    d->lsda = 0;
    if (cie.lsda_encoding != PE_OMIT && bytes > 0)
        d->lsda = take_encoded(&c, cie.lsda_encoding);
    return !c.is_bad && !d->instructions.is_bad;
}

/* Bisects the sorted table of .eh_frame_hdr. */
static bool
find_description(const struct faaslet_image *image, uint64_t pc, struct description *out)
{
    const uint64_t header = image->abi.eh_frame_hdr;
    struct cursor c;
    uint64_t first = 0, count;

    if (header == 0)
        return false;
    cursor_init(&c, image, header, 12);
    if (take(&c, 4) != (0x3b000000u | PE_UDATA4 << 16 | (PE_PCREL | PE_SDATA4) << 8 | 1))
        return false;
    (void)take(&c, 4);
    count = take(&c, 4);
    if (c.is_bad || count == 0)
        return false;
    while (count > 1) {
        uint64_t half = count / 2;

        cursor_init(&c, image, header + 12 + (first + half) * 8, 8);
        if (c.is_bad)
            return false;
        if (header + (uint64_t)(int64_t)(int32_t)take(&c, 4) <= pc) {
            first += half;
            count -= half;
        } else {
            count = half;
        }
    }
    cursor_init(&c, image, header + 12 + first * 8, 8);
    (void)take(&c, 4);
    return !c.is_bad && read_fde(image, header + (uint64_t)(int64_t)(int32_t)take(&c, 4), out) &&
           pc >= out->first && pc < out->end;
}

/* ------------------------------------------------------------------ instructions */

struct row {
    uint64_t cfa_register;
    int64_t cfa_offset;
    uint64_t args_bytes;
    int64_t offsets[DW_COUNT]; /* from the CFA */
    bool is_saved[DW_COUNT];
    bool is_end; /* the return address is undefined: no caller */
};

struct machine {
    const struct description *description;
    struct row row, initial, states[STATES_MAX];
    unsigned state_count;
    uint64_t location;
};

static void
set_offset(struct machine *m, struct cursor *c, uint64_t number, int64_t factored)
{
    if (number >= DW_COUNT) {
        c->is_bad = true;
        return;
    }
    m->row.offsets[number] = factored * m->description->data_align;
    m->row.is_saved[number] = true;
}

static void
restore(struct machine *m, struct cursor *c, uint64_t number)
{
    if (number >= DW_COUNT) {
        c->is_bad = true;
        return;
    }
    m->row.offsets[number] = m->initial.offsets[number];
    m->row.is_saved[number] = m->initial.is_saved[number];
}

/* Opcodes that have no operand in their own byte. */
static void
step_extended(struct machine *m, struct cursor *c, uint8_t opcode)
{
    uint64_t number;

    switch (opcode) {
    case 0x00: /* nop */
        break;
    case 0x02: /* advance_loc1, 2, 4 */
        m->location += take(c, 1) * m->description->code_align;
        break;
    case 0x03:
        m->location += take(c, 2) * m->description->code_align;
        break;
    case 0x04:
        m->location += take(c, 4) * m->description->code_align;
        break;
    case 0x05: /* offset_extended */
        number = take_uleb(c);
        set_offset(m, c, number, (int64_t)take_uleb(c));
        break;
    case 0x06: /* restore_extended */
        restore(m, c, take_uleb(c));
        break;
    case 0x07: /* undefined */
        if (take_uleb(c) == DW_RA)
            m->row.is_end = true;
        break;
    case 0x08: /* same_value */
        number = take_uleb(c);
        if (number < DW_COUNT)
            m->row.is_saved[number] = false;
        break;
    case 0x0a: /* remember_state */
        if (m->state_count == STATES_MAX)
            c->is_bad = true;
        else
            m->states[m->state_count++] = m->row;
        break;
    case 0x0b: /* restore_state */
        if (m->state_count == 0)
            c->is_bad = true;
        else
            m->row = m->states[--m->state_count];
        break;
    case 0x0c: /* def_cfa */
        m->row.cfa_register = take_uleb(c);
        m->row.cfa_offset = (int64_t)take_uleb(c);
        break;
    case 0x0d: /* def_cfa_register */
        m->row.cfa_register = take_uleb(c);
        break;
    case 0x0e: /* def_cfa_offset */
        m->row.cfa_offset = (int64_t)take_uleb(c);
        break;
    case 0x11: /* offset_extended_sf */
        number = take_uleb(c);
        set_offset(m, c, number, take_sleb(c));
        break;
    case 0x2e: /* GNU_args_size */
        m->row.args_bytes = take_uleb(c);
        break;
    default:
        c->is_bad = true;
    }
}

/* Executes until the location passes pc. */
static bool
execute(struct machine *m, struct cursor c, uint64_t pc)
{
    while (!c.is_bad && c.at < c.end) {
        uint8_t opcode = (uint8_t)take(&c, 1);
        struct row before = m->row;

        switch (opcode >> 6) {
        case 1:
            m->location += (opcode & 0x3f) * m->description->code_align;
            break;
        case 2:
            set_offset(m, &c, opcode & 0x3f, (int64_t)take_uleb(&c));
            break;
        case 3:
            restore(m, &c, opcode & 0x3f);
            break;
        default:
            step_extended(m, &c, opcode);
        }
        if (m->location > pc) {
            m->row = before;
            break;
        }
    }
    return !c.is_bad;
}

/* ------------------------------------------------------------------------ frames */

static uint64_t *
register_of(struct guest_registers *registers, uint64_t number)
{
    switch (number) {
    case DW_RBX:
        return &registers->rbx;
    case DW_RBP:
        return &registers->rbp;
    case DW_RSP:
        return &registers->sp;
    case DW_R12:
        return &registers->r12;
    case DW_R12 + 1:
        return &registers->r13;
    case DW_R12 + 2:
        return &registers->r14;
    case DW_R12 + 3:
        return &registers->r15;
    case DW_RA:
        return &registers->pc;
    default:
        return NULL;
    }
}

static bool
read_stack(const struct faaslet *faaslet, uint64_t address, uint64_t *out)
{
    if (address % sizeof(uint64_t) != 0 || address < faaslet->stack.first ||
        address > faaslet->stack.top - sizeof(uint64_t))
        return false;
    *out = *(const uint64_t *)address;
    return true;
}

/* The row that holds at the frame's pc. */
static bool
find_row(const struct faaslet *faaslet, const struct guest_registers *registers,
         struct description *description, struct row *out)
{
    uint64_t pc = registers->is_exact ? registers->pc : registers->pc - 1;
    const struct faaslet_image *image = faaslet_image_at(faaslet, pc);
    struct machine m = {0};

    if (image == NULL || !find_description(image, pc, description))
        return false;
    m.description = description;
    m.location = description->first;
    if (!execute(&m, description->initial, UINT64_MAX))
        return false;
    m.initial = m.row;
    if (!execute(&m, description->instructions, pc))
        return false;
    *out = m.row;
    return true;
}

bool
unwind_step(const struct faaslet *faaslet, struct guest_registers *registers)
{
    struct guest_registers caller = *registers;
    struct description description;
    struct row row;
    uint64_t cfa;

    if (!find_row(faaslet, registers, &description, &row) || row.is_end)
        return false;
    if ((row.cfa_register != DW_RSP && row.cfa_register != DW_RBP) || !row.is_saved[DW_RA])
        return false;
    cfa = *register_of(registers, row.cfa_register) + (uint64_t)row.cfa_offset;
    if (cfa <= registers->sp) /* outwards only, so that the walk ends */
        return false;
    for (uint64_t i = 0; i < DW_COUNT; i++) {
        uint64_t *place = register_of(&caller, i);

        if (row.is_saved[i] && place != NULL &&
            !read_stack(faaslet, cfa + (uint64_t)row.offsets[i], place))
            return false;
    }
    caller.sp = cfa;
    caller.is_exact = false;
    *registers = caller;
    return true;
}

/* ------------------------------------------------------------------ landing pads */

uint64_t
unwind_landing(const struct faaslet *faaslet, const struct guest_registers *registers,
               uint64_t *args_bytes)
{
    uint64_t pc = registers->is_exact ? registers->pc : registers->pc - 1;
    const struct faaslet_image *image = faaslet_image_at(faaslet, pc);
    struct description d;
    struct cursor c;
    struct row row;
    uint64_t base, end;
    uint8_t encoding;

    if (!find_row(faaslet, registers, &d, &row) || d.lsda == 0)
        return 0;
    *args_bytes = row.args_bytes;
    base = d.first;
    cursor_init_rest(&c, image, d.lsda);
    encoding = (uint8_t)take(&c, 1);
    if (encoding != PE_OMIT)
        base = take_encoded(&c, encoding);
    if (take(&c, 1) != PE_OMIT)
        (void)take_uleb(&c);
    encoding = (uint8_t)take(&c, 1);
    end = take_uleb(&c);
    end += c.address;
    while (!c.is_bad && c.address < end) {
        uint64_t first = take_encoded(&c, encoding);
        uint64_t length = take_encoded(&c, encoding);
        uint64_t landing = take_encoded(&c, encoding);

        (void)take_uleb(&c);
        if (!c.is_bad && pc - d.first >= first && pc - d.first - first < length)
            return landing == 0 ? 0 : base + landing;
    }
    return 0;
}
