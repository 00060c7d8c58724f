/* A P's inbox. See inbox.h. */
#include "inbox.h"

void inbox_put(struct p *target, struct g *g)
{
    g->next = NULL;
    lock_acquire(&target->inbox_lock);
    if (target->inbox_head)
        target->inbox_tail->next = g;
    else
        target->inbox_head = g;
    target->inbox_tail = g;
    store_release(&target->inbox_size, load_relaxed(&target->inbox_size) + 1); /* S1 */
    lock_release(&target->inbox_lock);
}

struct g *inbox_take(struct p *from)
{
    if (load_acquire(&from->inbox_size) == 0)
        return NULL;
    lock_acquire(&from->inbox_lock);
    struct g *list = from->inbox_head;
    from->inbox_head = NULL;
    store_relaxed(&from->inbox_size, 0);
    lock_release(&from->inbox_lock);
    return list;
}

bool inbox_move_owner(struct p *from, struct p *to)
{
    struct g *list = inbox_take(from);
    bool any = list != NULL;
    while (list) {
        struct g *g = list;
        list = g->next;
        runq_put_owner(to, g);
    }
    return any;
}
