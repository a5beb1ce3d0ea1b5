// boost::lockfree::spsc_queue.
// needs: libboost-dev
#include <boost/lockfree/spsc_queue.hpp>

#include "ring.hpp"

using namespace peer;

namespace {

class Queue {
public:
    explicit Queue(size_t capacity) : queue_(capacity) {}
    bool push(const Record &record) { return queue_.push(record); }
    bool pop(Record &out) { return queue_.pop(out); }

private:
    boost::lockfree::spsc_queue<Record> queue_;
};

const RingEntries<Queue> entries("boost spsc_queue");

} // namespace
