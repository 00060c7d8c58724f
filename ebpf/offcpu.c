/* The loader of offcpu.bpf.c, which is in offcpu.skel.h as an object. See offcpu.h. */
#define _GNU_SOURCE
#include "offcpu.h"

#include "offcpu.skel.h"

#include <errno.h>
#include <stdlib.h>

struct offcpu {
    struct offcpu_bpf *skeleton;
    struct ring_buffer *ring;
    /* Of the poll that is under way. */
    offcpu_take *fn;
    void *arg;
};

static int record_take(void *context, void *data, size_t size)
{
    struct offcpu *offcpu = context;
    const struct offcpu_stacked *stacked = data;
    if (size == sizeof *stacked)
        return offcpu->fn(&stacked->record, &stacked->stack, offcpu->arg);
    return size == sizeof stacked->record ? offcpu->fn(&stacked->record, NULL, offcpu->arg) : -EPROTO;
}

int offcpu_open(struct offcpu **offcpu)
{
    struct offcpu *new = calloc(1, sizeof *new);
    if (!new)
        return -ENOMEM;
    libbpf_set_print(NULL); /* it would advise a limit where a capability lacks */
    new->skeleton = offcpu_bpf__open();
    if (!new->skeleton) {
        int error = errno;
        free(new);
        return -error;
    }
    *offcpu = new;
    return 0;
}

int offcpu_load(struct offcpu *offcpu)
{
    int result = offcpu_bpf__load(offcpu->skeleton);
    if (result)
        return result;
    offcpu->ring = ring_buffer__new(bpf_map__fd(offcpu->skeleton->maps.ring), record_take, offcpu, NULL);
    return offcpu->ring ? 0 : -errno;
}

int offcpu_attach(struct offcpu *offcpu) { return offcpu_bpf__attach(offcpu->skeleton); }

void offcpu_aim(struct offcpu *offcpu, const struct offcpu_target *target)
{
    struct offcpu_bpf *skeleton = offcpu->skeleton;
    skeleton->bss->thread_m_offset = target->thread_m_offset;
    skeleton->bss->m_word_offset = target->m_word_offset;
    /* The program looks at the others only for the process that this names. */
    __atomic_store_n(&skeleton->data->target_pid, (uint32_t)target->pid, __ATOMIC_RELEASE);
}

int offcpu_poll(struct offcpu *offcpu, offcpu_take *fn, void *arg)
{
    offcpu->fn = fn;
    offcpu->arg = arg;
    return ring_buffer__consume(offcpu->ring);
}

void offcpu_counts_read(const struct offcpu *offcpu, struct offcpu_counts *counts)
{
    *counts = *(const volatile struct offcpu_counts *)&offcpu->skeleton->bss->counts;
}

void offcpu_close(struct offcpu *offcpu)
{
    if (!offcpu)
        return;
    ring_buffer__free(offcpu->ring);
    offcpu_bpf__destroy(offcpu->skeleton);
    free(offcpu);
}
