// boost::histogram with a logarithmic axis of as many bins as ours has.
// needs: libboost-dev
#include <boost/histogram.hpp>

#include "peer.hpp"

using namespace peer;

namespace {

class Record {
public:
    explicit Record(const apus_peer_input &) {}

    int64_t run(uint64_t count)
    {
        uint64_t value = value_;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            value = value * 0xD1202E3B7A6C25F5u + 1;
            histogram_(static_cast<double>(value >> 48));
        }
        const int64_t time = now_ns() - start;
        value_ = value;
        return time;
    }

    size_t check(int64_t *, size_t) { return 0; }

private:
    using Axis = boost::histogram::axis::regular<double, boost::histogram::axis::transform::log>;
    decltype(boost::histogram::make_histogram_with(std::vector<uint64_t>(), Axis(1, 1, 2))) histogram_
        = boost::histogram::make_histogram_with(std::vector<uint64_t>(), Axis(1888, 1, 9e18));
    uint64_t value_ = 1;
};

const Entry record(entry<Record>("histogram.record", "boost::histogram, log axis"));

} // namespace
