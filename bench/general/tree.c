/* SPDX-License-Identifier: Apache-2.0
 *
 * An AVL tree with links as pointers: insert, find, remove, walk.
 */
#include "../kernels/kernel.h"

#define NODES_MAX 100000

struct node {
    struct node *left, *right;
    uint32_t key;
    int32_t height;
};

static struct node nodes[NODES_MAX];
static int nodes_used;
static struct node *root;
static uint64_t digest;

static void
init(void)
{
    nodes_used = 0;
    root = NULL;
    digest = 0;
}

static int32_t
height(const struct node *n)
{
    return n == NULL ? 0 : n->height;
}

static void
measure(struct node *n)
{
    int32_t left = height(n->left), right = height(n->right);

    n->height = (left > right ? left : right) + 1;
}

static struct node *
rotate_right(struct node *n)
{
    struct node *up = n->left;

    n->left = up->right;
    up->right = n;
    measure(n);
    measure(up);
    return up;
}

static struct node *
rotate_left(struct node *n)
{
    struct node *up = n->right;

    n->right = up->left;
    up->left = n;
    measure(n);
    measure(up);
    return up;
}

static struct node *
balance(struct node *n)
{
    int32_t lean = height(n->left) - height(n->right);

    measure(n);
    if (lean > 1) {
        if (height(n->left->left) < height(n->left->right))
            n->left = rotate_left(n->left);
        return rotate_right(n);
    }
    if (lean < -1) {
        if (height(n->right->right) < height(n->right->left))
            n->right = rotate_right(n->right);
        return rotate_left(n);
    }
    return n;
}

static struct node *
insert(struct node *n, uint32_t key)
{
    if (n == NULL) {
        n = &nodes[nodes_used++];
        *n = (struct node){NULL, NULL, key, 1};
        return n;
    }
    if (key < n->key)
        n->left = insert(n->left, key);
    else if (key > n->key)
        n->right = insert(n->right, key);
    else
        return n;
    return balance(n);
}

/* Takes the least node out of the tree below n. */
static struct node *
take_least(struct node *n, struct node **least)
{
    if (n->left == NULL) {
        *least = n;
        return n->right;
    }
    n->left = take_least(n->left, least);
    return balance(n);
}

static struct node *
remove_key(struct node *n, uint32_t key)
{
    struct node *least;

    if (n == NULL)
        return NULL;
    if (key < n->key) {
        n->left = remove_key(n->left, key);
    } else if (key > n->key) {
        n->right = remove_key(n->right, key);
    } else {
        if (n->right == NULL)
            return n->left;
        n->right = take_least(n->right, &least);
        least->left = n->left;
        least->right = n->right;
        n = least;
    }
    return balance(n);
}

static int
depth_of(uint32_t key)
{
    int depth = 0;

    for (const struct node *n = root; n != NULL && n->key != key; depth++)
        n = key < n->key ? n->left : n->right;
    return depth;
}

static void
walk(const struct node *n)
{
    if (n == NULL)
        return;
    walk(n->left);
    digest = digest * 31 + n->key;
    walk(n->right);
}

KERNEL
kernel(void)
{
    uint32_t state = 43, again = 43;

    for (int i = 0; i < NODES_MAX; i++)
        root = insert(root, bench_random(&state));
    for (int i = 0; i < NODES_MAX; i++) {
        uint32_t key = bench_random(&again);

        digest += (uint64_t)depth_of(key);
        if (i % 2 == 0)
            root = remove_key(root, key);
    }
    walk(root);
}

static int64_t
checksum(void)
{
    return (int64_t)(digest * 64 + (uint64_t)height(root));
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 4);
}
