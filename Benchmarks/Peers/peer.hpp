// What all peers share: the table that the runner asks for, a clock, a second thread, and the inputs of the rows.
#ifndef PEER_HPP
#define PEER_HPP

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "apus_peer.h"

namespace peer {

// Adds to the table; for initialisers of namespace scope.
struct Entry {
    explicit Entry(const apus_peer &peer);
};

inline int64_t now_ns()
{
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

// Makes the compiler believe that the value is used.
template <class T> inline void keep(const T &value) { asm volatile("" : : "r,m"(value) : "memory"); }

// The table entry of a class with a constructor from apus_peer_input, `int64_t run(uint64_t)` and
// `size_t check(int64_t *, size_t)`.
template <class State> constexpr apus_peer entry(const char *row, const char *name, int32_t kind = APUS_PEER_LIBRARY)
{
    return apus_peer{
        row, name, kind,
        [](const apus_peer_input *input) -> void * {
            try {
                return new State(*input);
            } catch (...) {
                return nullptr;
            }
        },
        [](void *state) { delete static_cast<State *>(state); },
        [](void *state, int64_t *out, size_t capacity) { return static_cast<State *>(state)->check(out, capacity); },
        [](void *state, uint64_t count) { return static_cast<State *>(state)->run(count); },
    };
}

template <class Item> inline std::vector<Item> items(const apus_peer_input &input, size_t skip_bytes = 0)
{
    std::vector<Item> list((input.count - skip_bytes) / sizeof(Item));
    std::memcpy(list.data(), static_cast<const char *>(input.bytes) + skip_bytes, list.size() * sizeof(Item));
    return list;
}

// FNV-1a, as the pieces have it.
inline int64_t hash(const char *bytes, size_t count)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ static_cast<uint8_t>(bytes[i])) * 0x100000001B3u;
    }
    return static_cast<int64_t>(hash);
}

// A second thread, pinned.
template <class Body> class Partner {
public:
    Partner(int32_t core, Body body) : body_(std::move(body))
    {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(static_cast<size_t>(core), &set);
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
        const int error = pthread_create(
            &thread_, &attributes,
            [](void *self) -> void * {
                static_cast<Partner *>(self)->body_();
                return nullptr;
            },
            this);
        pthread_attr_destroy(&attributes);
        if (error != 0) {
            std::abort();
        }
    }
    ~Partner() { join(); }
    Partner(const Partner &) = delete;
    Partner &operator=(const Partner &) = delete;

    void join()
    {
        if (joined_) {
            return;
        }
        joined_ = true;
        pthread_join(thread_, nullptr);
    }

private:
    Body body_;
    pthread_t thread_;
    bool joined_ = false;
};
template <class Body> Partner(int32_t, Body) -> Partner<Body>;

// Collects what a check compares.
struct Numbers {
    int64_t *out;
    size_t capacity;
    size_t count = 0;
    void operator()(int64_t value)
    {
        if (count < capacity) {
            out[count] = value;
        }
        count++;
    }
};

} // namespace peer

#endif
