// Concurrency Kit's ck_ring, records by value.
// needs: libck-dev
#include "ring.hpp"

// The header is C: one of its functions returns `false` as a pointer, which is no constant of that type in C++.
#define false 0
#include <ck_ring.h>
#undef false

using namespace peer;

namespace {

class Queue {
public:
    explicit Queue(size_t capacity)
        : memory_(static_cast<Record *>(std::aligned_alloc(128, (capacity * sizeof(Record) + 127) / 128 * 128)))
    {
        // One slot of a ck_ring stays empty.
        ck_ring_init(&ring_, static_cast<unsigned>(capacity));
    }
    ~Queue() { std::free(memory_); }
    Queue(const Queue &) = delete;
    Queue &operator=(const Queue &) = delete;

    bool push(const Record &record) { return _ck_ring_enqueue_sp(&ring_, memory_, &record, sizeof record, nullptr); }
    bool pop(Record &out) { return _ck_ring_dequeue_sc(&ring_, memory_, &out, sizeof out); }

private:
    alignas(128) ck_ring_t ring_;
    Record *memory_;
};

const RingEntries<Queue> entries("ck_ring");

} // namespace
