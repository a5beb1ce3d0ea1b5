// The book rows for any sorted container. `Side` has set(price, qty), a size of 0 removing, and best(), for prices of
// which the lowest is the best: bids are negated.
#ifndef BOOK_HPP
#define BOOK_HPP

#include "peer.hpp"

namespace peer {

template <class Side> class BookTop {
public:
    explicit BookTop(const apus_peer_input &input) : updates_(items<Update>(input, 8))
    {
        int64_t levels;
        std::memcpy(&levels, input.bytes, 8);
        for (int64_t step = 0; step < levels; step++) {
            bids_.set(-(60000 - step), 5);
            asks_.set(60001 + step, 5);
        }
    }

    int64_t run(uint64_t count)
    {
        const int64_t start = now_ns();
        const int64_t sum = update(count);
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        numbers(update(updates_.size()));
        return numbers.count;
    }

private:
    struct Update {
        int64_t side, price, qty;
    };

    int64_t update(uint64_t count)
    {
        int64_t sum = 0;
        for (uint64_t i = 0; i < count; i++) {
            const Update &update = updates_[step_++ & (updates_.size() - 1)];
            if (update.side == 0) {
                bids_.set(-update.price, update.qty);
            } else {
                asks_.set(update.price, update.qty);
            }
            if (!bids_.empty() && !asks_.empty()) sum += asks_.best() - bids_.best();
        }
        return sum;
    }

    std::vector<Update> updates_;
    Side bids_, asks_;
    size_t step_ = 0;
};

// A sorted map from price to size.
template <class Map> class MapSide {
public:
    void set(int64_t price, int64_t qty)
    {
        if (qty == 0) {
            map_.erase(price);
        } else {
            map_[price] = qty;
        }
    }
    bool empty() const { return map_.empty(); }
    int64_t best() const { return map_.begin()->first; }

private:
    Map map_;
};

template <class Side> struct BookEntries {
    BookEntries(const char *name, int32_t kind)
        : b10(entry<BookTop<Side>>("book.10", name, kind)), b50(entry<BookTop<Side>>("book.50", name, kind)),
          b1000(entry<BookTop<Side>>("book.1000", name, kind)), b10000(entry<BookTop<Side>>("book.10000", name, kind))
    {
    }
    Entry b10, b50, b1000, b10000;
};

} // namespace peer

#endif
