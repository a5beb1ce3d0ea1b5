// A book in std::map, and in a sorted std::vector with the best level at its end.
#include <algorithm>
#include <map>

#include "book.hpp"

using namespace peer;

namespace {

class VectorSide {
public:
    void set(int64_t price, int64_t qty)
    {
        const auto place = std::lower_bound(
            levels_.begin(), levels_.end(), price, [](const Level &level, int64_t price) { return level.price > price; });
        const bool is_there = place != levels_.end() && place->price == price;
        if (qty == 0) {
            if (is_there) levels_.erase(place);
        } else if (is_there) {
            place->qty = qty;
        } else {
            levels_.insert(place, Level{price, qty});
        }
    }
    bool empty() const { return levels_.empty(); }
    int64_t best() const { return levels_.back().price; }

private:
    struct Level {
        int64_t price, qty;
    };
    std::vector<Level> levels_; // worst first
};

const BookEntries<MapSide<std::map<int64_t, int64_t>>> map("std::map", APUS_PEER_SYSTEM);
const BookEntries<VectorSide> vector("sorted vector", APUS_PEER_TEXTBOOK);

} // namespace
