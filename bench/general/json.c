/* SPDX-License-Identifier: Apache-2.0
 *
 * A recursive-descent JSON parser that builds a tree, and a walk over the tree.
 */
#include "../kernels/kernel.h"

#define TEXT_BYTES 600000
#define NODES_MAX  200000

enum kind {
    KIND_NULL,
    KIND_TRUE,
    KIND_FALSE,
    KIND_NUMBER,
    KIND_STRING,
    KIND_ARRAY,
    KIND_OBJECT,
    KIND_ERROR
};

struct node {
    enum kind kind;
    int32_t first, next; /* index of the first child, of the next sibling */
    double number;
    uint32_t hash; /* of the name, and of a string's value */
};

static char text[TEXT_BYTES + 256];
static size_t text_length;
static struct node nodes[NODES_MAX];
static int32_t nodes_used;
static const char *at;
static double result;

static void
put(const char *s)
{
    while (*s != '\0')
        text[text_length++] = *s++;
}

static void
put_number(uint32_t value)
{
    char digits[12];
    int n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (n > 0)
        text[text_length++] = digits[--n];
}

static void
init(void)
{
    uint32_t state = 29;

    text_length = 0;
    put("[");
    while (text_length < TEXT_BYTES - 200) {
        put(text_length > 1 ? ",\n {\"id\": " : "{\"id\": ");
        put_number(bench_random(&state) % 100000);
        put(", \"name\": \"user \\\"");
        put_number(bench_random(&state) % 1000);
        put("\\\"\", \"score\": -");
        put_number(bench_random(&state) % 100);
        put(".");
        put_number(bench_random(&state) % 1000);
        put("e1, \"tags\": [true, false, null, \"x\"], \"pos\": {\"x\": 1.5, \"y\": 22}}");
    }
    put("]");
    text[text_length] = '\0';
    result = 0;
}

static int32_t parse_value(void);

static void
skip_space(void)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
}

static int32_t
node_new(enum kind kind)
{
    nodes[nodes_used] = (struct node){.kind = kind, .first = -1, .next = -1};
    return nodes_used++;
}

static double
parse_digits(int *count)
{
    double value = 0;

    for (*count = 0; *at >= '0' && *at <= '9'; (*count)++)
        value = value * 10 + (*at++ - '0');
    return value;
}

static int32_t
parse_number(void)
{
    int32_t node = node_new(KIND_NUMBER);
    int negative = *at == '-', count;
    double value;

    at += negative;
    value = parse_digits(&count);
    if (*at == '.') {
        double fraction;

        at++;
        fraction = parse_digits(&count);
        while (count-- > 0)
            fraction /= 10;
        value += fraction;
    }
    if (*at == 'e') {
        int exponent;

        at++;
        for (exponent = (int)parse_digits(&count); exponent > 0; exponent--)
            value *= 10;
    }
    nodes[node].number = negative ? -value : value;
    return node;
}

static uint32_t
parse_string(void)
{
    uint32_t h = 5381;

    for (at++; *at != '"' && *at != '\0'; at++) {
        if (*at == '\\')
            at++;
        h = h * 33 + (uint8_t)*at;
    }
    at += *at == '"';
    return h;
}

static int32_t
parse_members(enum kind kind, char end)
{
    int32_t node = node_new(kind), last = -1;

    at++;
    for (skip_space(); *at != end && *at != '\0'; skip_space()) {
        uint32_t name = 0;
        int32_t child;

        if (kind == KIND_OBJECT) {
            name = parse_string();
            skip_space();
            at += *at == ':';
        }
        child = parse_value();
        nodes[child].hash ^= name;
        if (last < 0)
            nodes[node].first = child;
        else
            nodes[last].next = child;
        last = child;
        skip_space();
        at += *at == ',';
    }
    at++;
    return node;
}

static int32_t
parse_word(const char *word, enum kind kind)
{
    for (; *word != '\0'; word++, at++)
        if (*at != *word)
            return node_new(KIND_ERROR);
    return node_new(kind);
}

static int32_t
parse_value(void)
{
    int32_t node;

    skip_space();
    switch (*at) {
    case '{':
        return parse_members(KIND_OBJECT, '}');
    case '[':
        return parse_members(KIND_ARRAY, ']');
    case 't':
        return parse_word("true", KIND_TRUE);
    case 'f':
        return parse_word("false", KIND_FALSE);
    case 'n':
        return parse_word("null", KIND_NULL);
    case '"':
        node = node_new(KIND_STRING);
        nodes[node].hash = parse_string();
        return node;
    default:
        return parse_number();
    }
}

static double
walk(int32_t node, int depth)
{
    double sum = (double)(nodes[node].kind * 7 + (int)(nodes[node].hash % 1000)) * depth;

    if (nodes[node].kind == KIND_NUMBER)
        sum += nodes[node].number;
    for (int32_t child = nodes[node].first; child >= 0; child = nodes[child].next)
        sum += walk(child, depth + 1);
    return sum;
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 6; pass++) {
        nodes_used = 0;
        at = text;
        result += walk(parse_value(), 1);
    }
}

static double
checksum(void)
{
    return result + nodes_used;
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 20);
}
