// The decode rows for any JSON library. A library's class has
//   template <class Sink> bool decode(Sink &sink)
// for one of the three shapes, and delivers the numbers that apus delivers, in the same order.
#ifndef DECODE_HPP
#define DECODE_HPP

#include "peer.hpp"

namespace peer {

// Rounded by hand: llround is a call into the mathematical library.
inline int64_t scaled(double value, double scale)
{
    const double product = value * scale;
    return static_cast<int64_t>(product + (product < 0 ? -0.5 : 0.5));
}

constexpr double e8 = 1e8, e12 = 1e12, lots = 1e3, ticks = 1, micros = 1e6;

struct Sum {
    int64_t sum = 0;
    void operator()(int64_t value) { sum += value; }
};

template <class Library> class Decode {
public:
    explicit Decode(const apus_peer_input &input) : library_(input) {}

    int64_t run(uint64_t count)
    {
        Sum sum;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            if (!library_.decode(sum)) {
                std::abort();
            }
        }
        const int64_t time = now_ns() - start;
        keep(sum.sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        library_.decode(numbers);
        return numbers.count;
    }

private:
    Library library_;
};

} // namespace peer

#endif
