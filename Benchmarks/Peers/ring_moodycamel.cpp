// moodycamel::ReaderWriterQueue, with try_enqueue, which does not allocate.
// needs: libreaderwriterqueue-dev
#include <readerwriterqueue/readerwriterqueue.h>

#include "ring.hpp"

using namespace peer;

namespace {

class Queue {
public:
    explicit Queue(size_t capacity) : queue_(capacity) {}
    bool push(const Record &record) { return queue_.try_enqueue(record); }
    bool pop(Record &out) { return queue_.try_dequeue(out); }

private:
    moodycamel::ReaderWriterQueue<Record> queue_;
};

const RingEntries<Queue> entries("moodycamel ReaderWriterQueue");

} // namespace
