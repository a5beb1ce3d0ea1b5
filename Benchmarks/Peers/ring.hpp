// The ring rows for any single-producer, single-consumer queue. A queue's class has a constructor from a capacity,
// `bool push(const Record &)` and `bool pop(Record &)`.
#ifndef RING_HPP
#define RING_HPP

#include "peer.hpp"

namespace peer {

struct Record {
    uint64_t words[7];
};
static_assert(sizeof(Record) == 56, "as ours");

inline Record record(uint64_t number) { return Record{{number, 1, 2, 3, 4, 5, number}}; }

struct Unchecked {
    size_t check(int64_t *, size_t) { return 0; }
};

template <class Queue> class RingSame : public Unchecked {
public:
    explicit RingSame(const apus_peer_input &) : queue_(1024) {}

    int64_t run(uint64_t count)
    {
        uint64_t sum = 0;
        Record out{};
        const int64_t start = now_ns();
        for (uint64_t number = 0; number < count; number++) {
            queue_.push(record(number));
            if (queue_.pop(out)) sum += out.words[0] + out.words[6];
        }
        const int64_t time = now_ns() - start;
        if (sum != count * (count - 1)) std::abort();
        return time;
    }

private:
    Queue queue_;
};

template <class Queue> class RingTrip : public Unchecked {
public:
    explicit RingTrip(const apus_peer_input &input) : core_(input.other_core) {}

    int64_t run(uint64_t count)
    {
        constexpr uint64_t warm = 200;
        Queue forth(64), back(64);
        Partner partner(core_, [&forth, &back, count] {
            Record out{};
            for (uint64_t trip = 0; trip < warm + count; trip++) {
                while (!forth.pop(out)) {
                }
                back.push(out);
            }
        });
        Record out{};
        int64_t start = 0;
        for (uint64_t trip = 0; trip < warm + count; trip++) {
            if (trip == warm) start = now_ns();
            forth.push(record(trip));
            while (!back.pop(out)) {
            }
        }
        const int64_t time = now_ns() - start;
        partner.join();
        return time;
    }

private:
    int32_t core_;
};

template <class Queue> class RingStream : public Unchecked {
public:
    explicit RingStream(const apus_peer_input &input) : core_(input.other_core) {}

    int64_t run(uint64_t count)
    {
        constexpr uint64_t warm = 2048;
        Queue queue(1024);
        std::atomic<int> arrived{0};
        Partner partner(core_, [&queue, &arrived, count] {
            int phase = 0;
            for (uint64_t left : {warm, count}) {
                const uint64_t expected = left * (left - 1);
                uint64_t sum = 0;
                Record out{};
                while (left > 0) {
                    if (!queue.pop(out)) continue;
                    sum += out.words[0] + out.words[6];
                    left--;
                }
                if (sum != expected) std::abort();
                arrived.store(++phase, std::memory_order_release);
            }
        });
        push(queue, warm, arrived, 1);
        const int64_t start = now_ns();
        push(queue, count, arrived, 2);
        const int64_t time = now_ns() - start;
        partner.join();
        return time;
    }

private:
    static void push(Queue &queue, uint64_t count, std::atomic<int> &arrived, int phase)
    {
        for (uint64_t number = 0; number < count; number++) {
            while (!queue.push(record(number))) {
            }
        }
        while (arrived.load(std::memory_order_acquire) != phase) {
        }
    }

    int32_t core_;
};

// All three rows of one queue.
template <class Queue> struct RingEntries {
    explicit RingEntries(const char *name)
        : same(entry<RingSame<Queue>>("ring.same", name)), trip(entry<RingTrip<Queue>>("ring.trip", name)),
          stream(entry<RingStream<Queue>>("ring.stream", name))
    {
    }
    Entry same, trip, stream;
};

} // namespace peer

#endif
