// What makes a good program a bad release: preloaded by the tests, never part of a build.
//
// APUS_TEST_FAULT says what: slow, leak, crash, stall, deaf. Only `apus run` is hit, and for slow `apus replay` too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static char command[64];

static int fault_is(const char *name) {
    const char *const fault = getenv("APUS_TEST_FAULT");
    return fault != NULL && strcmp(fault, name) == 0;
}

static double seconds(void) {
    const char *const text = getenv("APUS_TEST_FAULT_AFTER");
    return text == NULL ? 3 : atof(text);
}

// The timer counts CPU time and comes every few milliseconds: two fifths of each of them are lost.
static void burn(int number) {
    (void)number;
    struct timespec begin, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < 1800000);
}

static void *leak(void *none) {
    (void)none;
    for (;;) {
        // Volatile: a compiler may leave out memory that nobody reads.
        volatile char *const memory = malloc(400000);
        for (int i = 0; memory != NULL && i < 400000; i += 512) memory[i] = 1;
        usleep(50000);
    }
    return NULL;
}

static void *end(void *none) {
    (void)none;
    usleep((useconds_t)(seconds() * 1e6));
    kill(getpid(), fault_is("stall") ? SIGSTOP : SIGKILL);
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    FILE *const file = fopen("/proc/self/cmdline", "r");
    if (file == NULL) return;
    char words[4096];
    const size_t count = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    words[count] = 0;
    strncpy(command, words + strlen(words) + 1, sizeof command - 1);
    const int runs = strcmp(command, "run") == 0;
    pthread_t thread;
    if (fault_is("slow") && (runs || strcmp(command, "replay") == 0)) {
        struct sigaction action = {.sa_handler = burn, .sa_flags = SA_RESTART};
        sigaction(SIGPROF, &action, NULL);
        const struct itimerval every = {{0, 4000}, {0, 4000}};
        setitimer(ITIMER_PROF, &every, NULL);
    }
    if (runs && fault_is("leak")) pthread_create(&thread, NULL, leak, NULL);
    if (runs && (fault_is("crash") || fault_is("stall"))) pthread_create(&thread, NULL, end, NULL);
}

// Deaf: whoever asks for SIGTERM does not get it.
typedef void (*handler)(int);
handler signal(int number, handler wanted) {
    static handler (*real)(int, handler);
    if (real == NULL) real = (handler(*)(int, handler))dlsym(RTLD_NEXT, "signal");
    if (number == SIGTERM && fault_is("deaf")) return real(SIGTERM, SIG_IGN);
    return real(number, wanted);
}
