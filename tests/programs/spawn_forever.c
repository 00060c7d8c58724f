/* spawn_forever FILE: starts goroutines without end and counts them in FILE's first 8 bytes, each after it was started,
 * so that whoever kills the program knows how many there were at least. Prints "ready PID". */
#include <gmptrace/gmpt.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void nothing(void *args) { (void)args; }

static int start(void *arg)
{
    volatile uint64_t *count = arg;
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    while (gmpt_count() > 0) {
        if (gmpt_go(nothing, NULL, 0) > 0)
            ++*count;
        gmpt_yield();
    }
    return 1;
}

int main(int argc, char **argv)
{
    alarm(60); /* never left behind */
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0 || ftruncate(fd, 8) < 0)
        return 1;
    void *count = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return count == MAP_FAILED ? 1 : gmpt_run(start, count);
}
