/* Skynet: a tree of goroutines, ten below each, a million leaves, that adds up the leaves' numbers. Prints "ROW MS"
 * lines; bench/go/skynet.go is its peer. The work is atemerev's (github.com/atemerev/skynet).
 *
 *     skynet [ROW...] */
#define _GNU_SOURCE
#include "rows.h"

enum { LEAVES = 1000000, CHILDREN = 10 };

/* ---- each sends its sum to its parent's channel ---- */

struct chan_node {
    struct gmpt_chan *parent;
    long first, leaves;
};

static void spawn(void (*fn)(void *args), const void *args, size_t size)
{
    if (gmpt_go(fn, args, size) < 0) {
        fprintf(stderr, "skynet: out of goroutines\n");
        exit(1);
    }
}

static void chan_node(void *args)
{
    struct chan_node *self = args;
    long sum = 0;
    if (self->leaves == 1) {
        sum = self->first;
    } else {
        struct chan_node child = { gmpt_chan_new(sizeof(long), 0), self->first, self->leaves / CHILDREN };
        for (int i = 0; i < CHILDREN; i++, child.first += child.leaves)
            spawn(chan_node, &child, sizeof child);
        for (long part, i = 0; i < CHILDREN; i++) {
            gmpt_chan_recv(child.parent, &part);
            sum += part;
        }
        gmpt_chan_release(child.parent);
    }
    gmpt_chan_send(self->parent, &sum);
}

static long skynet_chan(void)
{
    struct chan_node root = { gmpt_chan_new(sizeof(long), 0), 0, LEAVES };
    long sum;
    spawn(chan_node, &root, sizeof root);
    gmpt_chan_recv(root.parent, &sum);
    gmpt_chan_release(root.parent);
    return sum;
}

/* ---- each writes its sum to where its parent told it, and the parent's group waits for all ---- */

struct join_node {
    long *sum;
    long first, leaves;
};

static int join_node(void *args)
{
    struct join_node *self = args;
    if (self->leaves == 1) {
        *self->sum = self->first;
        return 0;
    }
    struct gmpt_group group = GMPT_GROUP_INIT;
    long sums[CHILDREN], sum = 0;
    struct join_node child = { NULL, self->first, self->leaves / CHILDREN };
    for (int i = 0; i < CHILDREN; i++, child.first += child.leaves) {
        child.sum = &sums[i];
        if (gmpt_group_go(&group, join_node, &child, sizeof child) < 0) {
            fprintf(stderr, "skynet: out of goroutines\n");
            exit(1);
        }
    }
    gmpt_group_wait(&group);
    for (int i = 0; i < CHILDREN; i++)
        sum += sums[i];
    *self->sum = sum;
    return 0;
}

static long skynet_join(void)
{
    long sum = 0;
    struct join_node root = { &sum, 0, LEAVES };
    join_node(&root);
    return sum;
}

static int skynet(void *arg)
{
    static const struct {
        const char *name;
        long (*run)(void);
    } trees[] = { { "skynet_chan", skynet_chan }, { "skynet_join", skynet_join } };
    (void)arg;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        if (!row_is_wanted(trees[i].name))
            continue;
        trees[i].run(); /* to warm up */
        int64_t began_ns = gmpt_now();
        long sum = trees[i].run();
        row_print(trees[i].name, (double)(gmpt_now() - began_ns) / 1e6);
        if (sum != (long)LEAVES * (LEAVES - 1) / 2) {
            fprintf(stderr, "skynet: %s: wrong sum: %ld\n", trees[i].name, sum);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    return gmpt_run(skynet, NULL);
}
