// The order-slab rows for any hash map: records lie in a pool of their own with a list of free ones, and the map leads
// from an id to the record. `Map<Key>` has find, emplace and erase of the standard.
#ifndef MAP_HPP
#define MAP_HPP

#include "peer.hpp"

namespace peer {

// A venue's id of 16 characters, as two words: all that a map has to hash and to compare.
struct VenueKey {
    uint64_t words[2];
    friend bool operator==(const VenueKey &a, const VenueKey &b)
    {
        return a.words[0] == b.words[0] && a.words[1] == b.words[1];
    }
    template <class State> friend State AbslHashValue(State state, const VenueKey &key)
    {
        return State::combine(std::move(state), key.words[0], key.words[1]);
    }
};

struct VenueHash {
    size_t operator()(const VenueKey &key) const
    {
        uint64_t hash = key.words[0] * 0x9E3779B97F4A7C15u ^ key.words[1];
        hash *= 0xD6E8FEB86659FD93u;
        return hash ^ hash >> 32;
    }
};

// The id of a number, as Pieces/SlabPieces.swift makes it.
inline VenueKey venue_key(uint32_t number)
{
    uint64_t spread = number;
    spread = (spread | spread << 16) & 0x0000FFFF0000FFFFu;
    spread = (spread | spread << 8) & 0x00FF00FF00FF00FFu;
    spread = (spread | spread << 4) & 0x0F0F0F0F0F0F0F0Fu;
    return {{0x3632433346313030u, spread | 0x3030303030303030u}};
}

struct alignas(128) Order {
    uint64_t id;
    char rest[120];
};

class Pool {
public:
    explicit Pool(size_t capacity) : orders_(capacity)
    {
        free_.reserve(capacity);
        for (size_t i = capacity; i > 0; i--) free_.push_back(&orders_[i - 1]);
    }
    Order *take(uint64_t id)
    {
        Order *const order = free_.back();
        free_.pop_back();
        *order = Order{id, {}};
        return order;
    }
    void give(Order *order) { free_.push_back(order); }

private:
    std::vector<Order> orders_;
    std::vector<Order *> free_;
};

constexpr size_t live_count = 10000, pool_capacity = 16384;

template <class Map> class MapFind {
public:
    explicit MapFind(const apus_peer_input &input) : pool_(pool_capacity)
    {
        const std::vector<uint64_t> ids = items<uint64_t>(input);
        map_.reserve(pool_capacity);
        for (size_t i = 0; i < live_count; i++) map_.emplace(ids[i], pool_.take(ids[i]));
        wanted_.assign(ids.begin() + live_count, ids.end());
    }

    int64_t run(uint64_t count)
    {
        const int64_t start = now_ns();
        const uint64_t sum = find(count);
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(find(live_count)));
        return numbers.count;
    }

private:
    uint64_t find(uint64_t count)
    {
        uint64_t sum = 0;
        size_t index = 0;
        for (uint64_t i = 0; i < count; i++) {
            const auto found = map_.find(wanted_[index]);
            if (found != map_.end()) sum += found->second->id;
            if (++index == live_count) index = 0;
        }
        return sum;
    }

    Pool pool_;
    Map map_;
    std::vector<uint64_t> wanted_;
};

template <class Map> class MapChurn {
public:
    explicit MapChurn(const apus_peer_input &input) : pool_(pool_capacity), places_(items<uint32_t>(input))
    {
        map_.reserve(pool_capacity);
        for (size_t place = 0; place < live_count; place++) {
            ids_.push_back(next_);
            map_.emplace(next_, pool_.take(next_));
            next_++;
        }
    }

    int64_t run(uint64_t count)
    {
        const int64_t start = now_ns();
        churn(count);
        const int64_t time = now_ns() - start;
        if (map_.size() != live_count) std::abort();
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        churn(50000);
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(map_.size()));
        return numbers.count;
    }

private:
    void churn(uint64_t count)
    {
        for (uint64_t i = 0; i < count; i++) {
            const size_t place = places_[step_];
            if (++step_ == places_.size()) step_ = 0;
            const uint64_t id = next_++;
            map_.emplace(id, pool_.take(id));
            const auto old = map_.find(ids_[place]);
            if (old != map_.end()) {
                pool_.give(old->second);
                map_.erase(old);
            }
            ids_[place] = id;
        }
    }

    Pool pool_;
    Map map_;
    std::vector<uint32_t> places_;
    std::vector<uint64_t> ids_;
    uint64_t next_ = 1 << 14;
    size_t step_ = 0;
};

template <class Map> class MapVenueChurn {
public:
    explicit MapVenueChurn(const apus_peer_input &input) : pool_(pool_capacity), places_(items<uint32_t>(input))
    {
        map_.reserve(pool_capacity);
        for (uint32_t place = 0; place < live_count; place++) {
            numbers_.push_back(2 * place);
            map_.emplace(venue_key(2 * place), pool_.take(place));
        }
    }

    int64_t run(uint64_t count)
    {
        const int64_t start = now_ns();
        churn(count);
        const int64_t time = now_ns() - start;
        if (map_.size() != live_count) std::abort();
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        churn(50000);
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(map_.size()));
        return numbers.count;
    }

private:
    void churn(uint64_t count)
    {
        for (uint64_t i = 0; i < count; i++) {
            const size_t place = places_[step_];
            if (++step_ == places_.size()) step_ = 0;
            const uint32_t number = numbers_[place];
            map_.emplace(venue_key(number ^ 1), pool_.take(place));
            const auto old = map_.find(venue_key(number));
            if (old != map_.end()) {
                pool_.give(old->second);
                map_.erase(old);
            }
            numbers_[place] = number ^ 1;
        }
    }

    Pool pool_;
    Map map_;
    std::vector<uint32_t> places_, numbers_;
    size_t step_ = 0;
};

template <class Map> class MapVenueFind {
public:
    explicit MapVenueFind(const apus_peer_input &input) : pool_(pool_capacity), places_(items<uint32_t>(input))
    {
        map_.reserve(pool_capacity);
        for (uint32_t place = 0; place < live_count; place++) map_.emplace(venue_key(2 * place), pool_.take(place));
    }

    int64_t run(uint64_t count)
    {
        const int64_t start = now_ns();
        const uint64_t found = find(count);
        const int64_t time = now_ns() - start;
        if (found != count) std::abort();
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(find(places_.size())));
        return numbers.count;
    }

private:
    uint64_t find(uint64_t count)
    {
        uint64_t found = 0;
        size_t step = 0;
        for (uint64_t i = 0; i < count; i++) {
            found += map_.find(venue_key(2 * places_[step])) != map_.end();
            if (++step == places_.size()) step = 0;
        }
        return found;
    }

    Pool pool_;
    Map map_;
    std::vector<uint32_t> places_;
};

// All rows of one kind of map: by a number, and by a venue's id.
template <class ByID, class ByVenueID> struct MapEntries {
    MapEntries(const char *name, int32_t kind)
        : find(entry<MapFind<ByID>>("slab.find", name, kind)), churn(entry<MapChurn<ByID>>("slab.churn", name, kind)),
          fifo(entry<MapChurn<ByID>>("slab.churn.fifo", name, kind)),
          venue(entry<MapVenueChurn<ByVenueID>>("slab.venue", name, kind)),
          venue_find(entry<MapVenueFind<ByVenueID>>("slab.venue.find", name, kind))
    {
    }
    Entry find, churn, fifo, venue, venue_find;
};

} // namespace peer

#endif
