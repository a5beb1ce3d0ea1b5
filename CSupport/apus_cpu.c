#define _GNU_SOURCE
#include "apus_cpu.h"

#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAX_CORES 8192 /* the kernel's CONFIG_NR_CPUS ceiling on x86-64 and arm64 */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* ---- threads ---- */

int apus_cpu_allowed(uint32_t *cores, uint32_t capacity)
{
    const size_t size = CPU_ALLOC_SIZE(MAX_CORES);
    cpu_set_t *set = CPU_ALLOC(MAX_CORES);
    if (set == NULL) {
        return -ENOMEM;
    }
    CPU_ZERO_S(size, set);
    int count = -1;
    if (sched_getaffinity(0, size, set) == 0) {
        count = 0;
        for (uint32_t core = 0; core < MAX_CORES; core++) {
            if (CPU_ISSET_S(core, size, set)) {
                if ((uint32_t)count < capacity && cores != NULL) {
                    cores[count] = core;
                }
                count++;
            }
        }
    } else {
        count = -errno;
    }
    CPU_FREE(set);
    return count;
}

int apus_cpu_current(void)
{
    const int core = sched_getcpu();
    return core < 0 ? -errno : core;
}

int apus_cpu_pin(uint32_t core)
{
    if (core >= MAX_CORES) {
        return -EINVAL;
    }
    const size_t size = CPU_ALLOC_SIZE(MAX_CORES);
    cpu_set_t *set = CPU_ALLOC(MAX_CORES);
    if (set == NULL) {
        return -ENOMEM;
    }
    CPU_ZERO_S(size, set);
    CPU_SET_S(core, size, set);
    const int result = sched_setaffinity(0, size, set) == 0 ? 0 : -errno;
    CPU_FREE(set);
    return result;
}

int apus_cpu_set_fifo(int priority)
{
    if (priority < 1 || priority > 99) {
        return -EINVAL;
    }
    const struct sched_param parameter = {.sched_priority = priority};
    return -pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter);
}

int apus_cpu_name_thread(const char *name)
{
    char cut[16] = {0};
    memcpy(cut, name, strnlen(name, sizeof cut - 1));
    return -pthread_setname_np(pthread_self(), cut);
}

static bool numa_works(void)
{
    return numa_available() >= 0;
}

int apus_cpu_node(uint32_t core)
{
    if (core >= MAX_CORES || (long)core >= sysconf(_SC_NPROCESSORS_CONF)) {
        return -EINVAL;
    }
    if (!numa_works()) {
        return 0;
    }
    const int node = numa_node_of_cpu((int)core);
    return node < 0 ? -EINVAL : node;
}

/* ---- memory ---- */

static size_t rounded_up(size_t bytes, size_t unit)
{
    return bytes > SIZE_MAX - unit ? 0 : (bytes + unit - 1) / unit * unit;
}

/* A mapping aligned to 2 MiB, so that transparent huge pages can cover it. */
static void *map_aligned(size_t bytes)
{
    if (bytes > SIZE_MAX - HUGE_PAGE_BYTES) {
        return MAP_FAILED;
    }
    char *raw = mmap(NULL, bytes + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) {
        return MAP_FAILED;
    }
    const size_t lead = (HUGE_PAGE_BYTES - (uintptr_t)raw % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (lead != 0) {
        munmap(raw, lead);
    }
    if (lead != HUGE_PAGE_BYTES) {
        munmap(raw + lead + bytes, HUGE_PAGE_BYTES - lead);
    }
    return raw + lead;
}

static bool transparent_huge_pages_off(void)
{
    apus_host host;
    apus_host_read(0, &host);
    return strcmp(host.transparent_huge, "always") != 0 && strcmp(host.transparent_huge, "madvise") != 0;
}

/* False if the pages cannot be had on `node`. */
static bool bind_to(int node, void *base, size_t bytes)
{
    if (!numa_works() || node > numa_max_node()) {
        return false;
    }
    struct bitmask *nodes = numa_allocate_nodemask();
    if (nodes == NULL) {
        return false;
    }
    numa_bitmask_setbit(nodes, (unsigned)node);
    /* maxnode is one more than the highest bit that the kernel reads. */
    const long result = mbind(base, bytes, MPOL_BIND, nodes->maskp, nodes->size + 1, 0);
    numa_free_nodemask(nodes);
    return result == 0;
}

int apus_memory_create(size_t bytes, int node, uint32_t wishes, apus_memory *out)
{
    *out = (apus_memory){0};
    if (bytes == 0 || node < APUS_MEMORY_ANY_NODE) {
        return -EINVAL;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *base = MAP_FAILED;
    size_t mapped = 0;
    uint32_t lacks = 0;
    if ((wishes & APUS_MEMORY_HUGE) != 0) {
        mapped = rounded_up(bytes, HUGE_PAGE_BYTES);
        if (mapped == 0) {
            return -ENOMEM;
        }
        base = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);
        if (base == MAP_FAILED) {
            base = map_aligned(mapped);
            if (base != MAP_FAILED) {
                const bool refused = madvise(base, mapped, MADV_HUGEPAGE) != 0 || transparent_huge_pages_off();
                lacks |= refused ? APUS_MEMORY_NOT_HUGE : APUS_MEMORY_HUGE_BY_CHANCE;
            }
        }
    } else {
        mapped = rounded_up(bytes, page);
        if (mapped == 0) {
            return -ENOMEM;
        }
        base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (base == MAP_FAILED) {
        return -ENOMEM;
    }
    if (node != APUS_MEMORY_ANY_NODE && !bind_to(node, base, mapped)) {
        lacks |= APUS_MEMORY_NOT_LOCAL;
    }
    if ((wishes & APUS_MEMORY_NO_DUMP) != 0) {
        madvise(base, mapped, MADV_DONTDUMP);
    }
    if ((wishes & APUS_MEMORY_NO_FORK) != 0) {
        madvise(base, mapped, MADV_DONTFORK);
    }
    int errno_lock = 0;
    if ((wishes & APUS_MEMORY_LOCK) != 0 && mlock(base, mapped) != 0) {
        errno_lock = errno;
        lacks |= APUS_MEMORY_NOT_LOCKED;
    }
    /* A write per page, so that the first use does not fault; mlock alone would do, if it worked. */
    for (size_t offset = 0; offset < mapped; offset += page) {
        ((volatile char *)base)[offset] = 0;
    }
    *out = (apus_memory){.base = base, .bytes = mapped, .lacks = lacks, .errno_lock = errno_lock};
    return 0;
}

void apus_memory_destroy(apus_memory *memory)
{
    if (memory->base != NULL) {
        munmap(memory->base, memory->bytes);
    }
    *memory = (apus_memory){0};
}

int apus_memory_lock_all(void)
{
    return mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : -errno;
}

uint64_t apus_memory_lock_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_cur;
}

/* ---- the machine ---- */

/* The first line of a file without its newline; empty if it cannot be read. */
static void read_line(const char *path, char *out, size_t capacity)
{
    out[0] = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(out, (int)capacity, file) == NULL) {
        out[0] = 0;
    }
    fclose(file);
    out[strcspn(out, "\n")] = 0;
}

static bool read_number(const char *path, int64_t *out)
{
    char line[APUS_HOST_TEXT];
    read_line(path, line, sizeof line);
    char *end = line;
    errno = 0;
    const long long value = strtoll(line, &end, 10);
    if (end == line || errno != 0) {
        return false;
    }
    *out = value;
    return true;
}

bool apus_host_parse_release(const char *release, int32_t *major, int32_t *minor)
{
    int a = 0, b = 0;
    *major = *minor = 0;
    if (sscanf(release, "%4d.%4d", &a, &b) != 2 || a < 0 || b < 0) {
        return false;
    }
    *major = a;
    *minor = b;
    return true;
}

bool apus_host_list_has(const char *list, uint32_t core)
{
    const char *cursor = list;
    while (*cursor != 0) {
        char *end;
        const unsigned long first = strtoul(cursor, &end, 10);
        if (end == cursor) {
            return false; /* not a list */
        }
        unsigned long final = first;
        if (*end == '-') {
            cursor = end + 1;
            final = strtoul(cursor, &end, 10);
            if (end == cursor) {
                return false;
            }
        }
        if (core >= first && core <= final) {
            return true;
        }
        if (*end != ',') {
            return false;
        }
        cursor = end + 1;
    }
    return false;
}

/* "always [madvise] never" becomes "madvise". */
static void keep_bracketed(char *text)
{
    const char *open = strchr(text, '[');
    const char *close = open != NULL ? strchr(open, ']') : NULL;
    if (close == NULL) {
        text[0] = 0;
        return;
    }
    const size_t count = (size_t)(close - open) - 1;
    memmove(text, open + 1, count);
    text[count] = 0;
}

void apus_host_read(uint32_t core, apus_host *out)
{
    memset(out, 0, sizeof *out);
    out->rt_period_us = out->rt_runtime_us = -1;
    struct utsname name;
    if (uname(&name) == 0) {
        memcpy(out->release, name.release, strnlen(name.release, sizeof out->release - 1));
        apus_host_parse_release(out->release, &out->kernel_major, &out->kernel_minor);
    }
    out->rt_known = read_number("/proc/sys/kernel/sched_rt_runtime_us", &out->rt_runtime_us) &&
                    read_number("/proc/sys/kernel/sched_rt_period_us", &out->rt_period_us);
    out->numa = numa_works();
    out->lock_limit_bytes = apus_memory_lock_limit();
    char path[APUS_HOST_TEXT];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", core);
    read_line(path, out->governor, sizeof out->governor);
    read_line("/sys/devices/system/cpu/isolated", out->isolated, sizeof out->isolated);
    read_line("/sys/devices/system/cpu/nohz_full", out->nohz_full, sizeof out->nohz_full);
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", out->clock_source,
              sizeof out->clock_source);
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", out->transparent_huge, sizeof out->transparent_huge);
    keep_bracketed(out->transparent_huge);
}
