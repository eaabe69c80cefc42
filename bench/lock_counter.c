/*
 * Counts what extension modules do without the interpreter's lock: stands before the interpreter's own functions
 * (LD_PRELOAD), so libpython must be a shared library. See bench_lock.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <time.h>

uint64_t unlocked_cpu_ns, wait_ns, release_count, short_release_count;  /* changed by who holds the lock */

#define SHORT_NS 5000  /* less than a sleeping thread takes to wake up */

static void *(*save)(void);
static void (*restore)(void *);
static __thread uint64_t begun_ns;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

void *PyEval_SaveThread(void)
{
    void *state;

    if (!save) {
        restore = (void (*)(void *)) dlsym(RTLD_NEXT, "PyEval_RestoreThread");
        save = (void *(*)(void)) dlsym(RTLD_NEXT, "PyEval_SaveThread");
    }
    state = save();
    begun_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    return state;
}

void PyEval_RestoreThread(void *state)
{
    uint64_t used_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - begun_ns, asked_ns = now_ns(CLOCK_MONOTONIC);

    restore(state);
    wait_ns += now_ns(CLOCK_MONOTONIC) - asked_ns;
    unlocked_cpu_ns += used_ns;
    release_count++;
    short_release_count += used_ns < SHORT_NS;
}
