/* apus_cpu.h: cores, threads and memory as a lane wants them, and what the machine says about them.
 * All cold: called at start, before a lane runs.
 */
#ifndef APUS_CPU_H
#define APUS_CPU_H

#include "apus_base.h"

/* The cores on which this thread may run, ascending. Fills at most `capacity` of them and returns how
 * many there are (which may be more), or -errno. */
int apus_cpu_allowed(uint32_t *APUS_NULLABLE cores, uint32_t capacity);

/* The core on which this thread runs now, or -errno. */
int apus_cpu_current(void);

/* Binds the calling thread to one core. 0, or -EINVAL if the core does not exist or is not allowed. */
int apus_cpu_pin(uint32_t core);

/* Puts the calling thread under SCHED_FIFO. 0, -EINVAL outside 1 ... 99, or -EPERM without
 * CAP_SYS_NICE or an rtprio limit. */
int apus_cpu_set_fifo(int priority);

/* Names the calling thread for top, perf and gdb; all but the first 15 bytes is cut off. 0 or -errno. */
int apus_cpu_name_thread(const char *APUS_NONNULL name);

/* The NUMA node of a core; 0 on a machine without NUMA; -EINVAL if there is no such core. */
int apus_cpu_node(uint32_t core);

/* ---- memory ---- */

#define APUS_MEMORY_ANY_NODE (-1)

typedef enum apus_memory_wish {
    APUS_MEMORY_LOCK = 1 << 0,       /* never paged out */
    APUS_MEMORY_HUGE = 1 << 1,       /* 2 MiB pages: reserved ones, else transparent ones */
    APUS_MEMORY_NO_DUMP = 1 << 2,    /* left out of core dumps: for secrets (R57) */
    APUS_MEMORY_NO_FORK = 1 << 3,    /* not copied into a child process */
} apus_memory_wish;

/* What could not be had; the memory is usable all the same. */
typedef enum apus_memory_lack {
    APUS_MEMORY_NOT_LOCKED = 1 << 0,      /* RLIMIT_MEMLOCK: see errno_lock */
    APUS_MEMORY_NOT_HUGE = 1 << 1,        /* neither reserved nor transparent huge pages */
    APUS_MEMORY_HUGE_BY_CHANCE = 1 << 2,  /* transparent: the kernel gives them when it can */
    APUS_MEMORY_NOT_LOCAL = 1 << 3,       /* NUMA unavailable, or the node refused */
} apus_memory_lack;

typedef struct apus_memory {
    void *APUS_NULLABLE base; /* aligned to a page, zeroed, every page touched */
    size_t bytes;             /* as mapped: rounded up to whole pages */
    uint32_t lacks;           /* apus_memory_lack bits */
    int errno_lock;           /* why locking failed, or 0 */
} apus_memory;

/* Maps, binds to `node` (or APUS_MEMORY_ANY_NODE), locks and touches `bytes` of zeroed memory. A wish
 * that the machine refuses is reported in `lacks`; 0, or -EINVAL for 0 bytes or a node below -1, or
 * -ENOMEM. */
int apus_memory_create(size_t bytes, int node, uint32_t wishes, apus_memory *APUS_NONNULL out);

/* Unmaps it and clears `memory`; nothing if it is clear already. */
void apus_memory_destroy(apus_memory *APUS_NONNULL memory);

/* Locks all memory of the process, now and to come. 0 or -errno. */
int apus_memory_lock_all(void);

/* RLIMIT_MEMLOCK in bytes (UINT64_MAX: no limit). */
uint64_t apus_memory_lock_limit(void);

/* ---- the machine ---- */

#define APUS_HOST_TEXT 128

/* What the kernel says of itself; a field that could not be read is -1 or empty. */
typedef struct APUS_NAME(HostFacts) apus_host {
    char release[APUS_HOST_TEXT];     /* uname -r */
    int32_t kernel_major, kernel_minor;
    int64_t rt_period_us;             /* /proc/sys/kernel/sched_rt_period_us */
    int64_t rt_runtime_us;            /* sched_rt_runtime_us; -1 means no throttle once rt_known is true */
    bool rt_known;
    bool numa;                        /* libnuma works here */
    uint64_t lock_limit_bytes;        /* RLIMIT_MEMLOCK; UINT64_MAX: none */
    char governor[APUS_HOST_TEXT];    /* of the core asked about; empty on most virtual machines */
    char isolated[APUS_HOST_TEXT];    /* core list of isolcpus */
    char nohz_full[APUS_HOST_TEXT];   /* core list of nohz_full */
    char transparent_huge[APUS_HOST_TEXT]; /* always, madvise or never */
    char clock_source[APUS_HOST_TEXT];
} apus_host;

/* Reads the facts, governor of `core`. */
void apus_host_read(uint32_t core, apus_host *APUS_NONNULL out);

/* Reads the leading "major.minor" of a kernel release; false, and zeros, if there is none. */
bool apus_host_parse_release(const char *APUS_NONNULL release, int32_t *APUS_NONNULL major, int32_t *APUS_NONNULL minor);

/* Whether a kernel core list such as "2-5,8" names `core`. */
bool apus_host_list_has(const char *APUS_NONNULL list, uint32_t core);

#endif
