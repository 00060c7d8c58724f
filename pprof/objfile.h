/* An ELF file on disk, opened with distrust: what it is, its build id, and where its separate debug file lies. */
#ifndef GMPT_OBJFILE_H
#define GMPT_OBJFILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OBJFILE_BUILD_ID_MAX 20 /* what a trace records; longer ids are compared by their first bytes */

struct objfile {
    Elf *elf; /* NULL = not open */
    int fd;
    dev_t device;
    ino_t inode;
    size_t build_id_bytes; /* 0 = it has none */
    uint8_t build_id[OBJFILE_BUILD_ID_MAX];
};

/* Returns 0, -errno of opening, or -ENOEXEC when it is not an ELF file that can be read. On failure *file is closed. */
int objfile_open(struct objfile *file, const char *path);
void objfile_close(struct objfile *file); /* closed already: nothing */

bool objfile_has_build_id(const struct objfile *file, const uint8_t *build_id, size_t size);

/* The offset in the file of the byte at this address of the object, 0 when no segment holds it. */
uint64_t objfile_offset(const struct objfile *file, uint64_t object_address);

/* Looks for the separate debug file of the object with this build id (size 0: not known) whose file was at path: by
 * build id, then, if main is open, by its .gnu_debuglink. Returns 0 with *debug open, or -ENOENT. */
int objfile_find_debug(struct objfile *debug, const struct objfile *main, const char *path, const uint8_t *build_id,
                       size_t size);

#endif
