/* Goroutines that have leaked with memory of known size: one with a list of two blocks, one with a block in its
 * channel's buffer. Both have a pointer to what the program still has, too. Ends when its input does. */
#include <gmptrace/gmpt.h>

#include <stdlib.h>
#include <unistd.h>

enum { FIRST_BYTES = 300000, SECOND_BYTES = 200000, BUFFERED_BYTES = 70000, SHARED_BYTES = 5000000 };

struct block {
    void *next;
};

static void *shared; /* alive: nobody holds it alone */

static void keep_list(void *args)
{
    (void)args;
    struct block *volatile first = calloc(1, FIRST_BYTES); /* a compiler may do without a block that goes nowhere */
    void *volatile also = shared;
    first->next = calloc(1, SECOND_BYTES);
    gmpt_chan_recv(gmpt_chan_new(0, 0), NULL);
    free(first->next);
    free(first);
    free(also);
}

static void keep_buffered(void *args)
{
    (void)args;
    struct gmpt_chan *chan = gmpt_chan_new(sizeof(void *), 1);
    void *value = calloc(1, BUFFERED_BYTES);
    gmpt_chan_send(chan, &value);
    value = shared;
    gmpt_chan_send(chan, &value); /* there is no room */
}

static int main_g(void *arg)
{
    char byte;
    (void)arg;
    shared = calloc(1, SHARED_BYTES);
    gmpt_go(keep_list, NULL, 0);
    gmpt_go(keep_buffered, NULL, 0);
    gmpt_sleep(50000000);
    gmpt_read(STDIN_FILENO, &byte, 1);
    return 0;
}

int main(void) { return gmpt_run(main_g, NULL); }
