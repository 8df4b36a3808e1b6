/* SPDX-License-Identifier: Apache-2.0
 *
 * A recursive-descent calculator: text to value, with variables and functions.
 */
#include "../kernels/kernel.h"

#define FORMULAS 40

static char formulas[FORMULAS][512];
static const char *at;
static double variables[26];
static double result;

static double parse_sum(void);

static void
init(void)
{
    static const char *const parts[] = {"a*(b+2)",       "sq(c-1.25)", "(d/(e+3))", "-f",
                                        "mx(a,b*c)",     "3.5*g",      "ab(h-i)",   "((j))",
                                        "mn(k,(l-2)*m)", "0.125"};
    uint32_t state = 31;

    for (int i = 0; i < FORMULAS; i++) {
        int n = 0;

        while (n < 480) {
            for (const char *p = parts[bench_random(&state) % COUNT(parts)]; *p != '\0'; p++)
                formulas[i][n++] = *p;
            formulas[i][n++] = "+-+*"[bench_random(&state) % 4];
        }
        formulas[i][n++] = '1';
        formulas[i][n] = '\0';
    }
    result = 0;
}

static double
parse_number(void)
{
    double value = 0, scale = 1;

    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++) {
            scale /= 10;
            value += (*at - '0') * scale;
        }
    return value;
}

static double
apply(char name, double x, double y)
{
    switch (name) {
    case 's':
        return x * x / (1 + x * x);
    case 'a':
        return x < 0 ? -x : x;
    case 'x':
        return x > y ? x : y;
    case 'n':
        return x < y ? x : y;
    default:
        return 0;
    }
}

static double
parse_call(char name)
{
    double x, y = 0;

    at++;
    x = parse_sum();
    if (*at == ',') {
        at++;
        y = parse_sum();
    }
    at++;
    return apply(name, x, y);
}

static double
parse_atom(void)
{
    double value;

    if (*at == '-') {
        at++;
        return -parse_atom();
    }
    if (*at == '(') {
        at++;
        value = parse_sum();
        at++;
        return value;
    }
    if (*at >= 'a' && *at <= 'z') {
        char first = *at++;

        if (*at < 'a' || *at > 'z')
            return variables[first - 'a'];
        at++;
        return parse_call(first == 'm' ? at[-1] : first);
    }
    return parse_number();
}

static double
parse_product(void)
{
    double value = parse_atom();

    while (*at == '*' || *at == '/') {
        char op = *at++;
        double right = parse_atom();

        value = op == '*' ? value * right : value / (right + 1e-9);
    }
    return value;
}

static double
parse_sum(void)
{
    double value = parse_product();

    while (*at == '+' || *at == '-') {
        char op = *at++;
        double right = parse_product();

        value = op == '+' ? value + right : value - right;
    }
    return value;
}

KERNEL
kernel(void)
{
    for (int pass = 0; pass < 3200; pass++)
        for (int i = 0; i < FORMULAS; i++) {
            for (int v = 0; v < 26; v++)
                variables[v] = (double)((pass * 7 + v * 13 + i) % 17) / 8 + 0.1;
            at = formulas[i];
            result += parse_sum() / 1e6;
        }
}

static double
checksum(void)
{
    return result;
}

int
main(void)
{
    return bench_float(init, kernel, checksum, 1);
}
