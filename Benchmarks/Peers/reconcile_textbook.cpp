// The usual way to compare a ladder with its orders: a hash map from price to order for each side. What has no match
// is cancelled and inserted, or amended in pairs as ours does.
#include <unordered_map>

#include "peer.hpp"

using namespace peer;

namespace {

struct Quote {
    int64_t price, qty;
};
struct Standing {
    uint64_t id;
    int64_t price, remaining;
};
struct Command {
    int kind;
    uint64_t id;
    int64_t price, qty;
};

struct Side {
    std::vector<Standing> orders;
    std::vector<Quote> same, up, down;
};

class Reconcile {
public:
    explicit Reconcile(const apus_peer_input &input)
    {
        const std::vector<int64_t> numbers = items<int64_t>(input);
        moved_ = numbers[1] != 0;
        for (int64_t level = 0; level < numbers[0]; level++) {
            add(sides_[0], 99990 - 2 * level);
            add(sides_[1], 100010 + 2 * level);
        }
    }

    int64_t run(uint64_t count)
    {
        size_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) sum += reconcile(i % 2 == 0);
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(reconcile(true)));
        return numbers.count;
    }

private:
    void add(Side &side, int64_t price)
    {
        side.orders.push_back({++id_, price, 10});
        side.same.push_back({price, 10});
        side.up.push_back({price + 1, 10});
        side.down.push_back({price - 1, 10});
    }

    size_t reconcile(bool up)
    {
        commands_.clear();
        for (Side &side : sides_) {
            const std::vector<Quote> &wanted = !moved_ ? side.same : up ? side.up : side.down;
            by_price_.clear();
            for (const Standing &order : side.orders) by_price_.emplace(order.price, &order);
            spare_.clear();
            for (const Quote &quote : wanted) {
                const auto found = by_price_.find(quote.price);
                if (found == by_price_.end()) {
                    spare_.push_back(quote);
                    continue;
                }
                if (found->second->remaining != quote.qty) {
                    commands_.push_back({1, found->second->id, quote.price, quote.qty});
                }
                by_price_.erase(found);
            }
            size_t next = 0;
            for (const auto &left : by_price_) {
                if (next < spare_.size()) {
                    commands_.push_back({1, left.second->id, spare_[next].price, spare_[next].qty});
                    next++;
                } else {
                    commands_.push_back({2, left.second->id, 0, 0});
                }
            }
            for (; next < spare_.size(); next++) commands_.push_back({0, 0, spare_[next].price, spare_[next].qty});
        }
        return commands_.size();
    }

    Side sides_[2];
    bool moved_ = false;
    uint64_t id_ = 0;
    std::unordered_map<int64_t, const Standing *> by_price_;
    std::vector<Quote> spare_;
    std::vector<Command> commands_;
};

constexpr apus_peer made(const char *row)
{
    return entry<Reconcile>(row, "hash map by price", APUS_PEER_TEXTBOOK);
}
const Entry standing10(made("reconcile.10.standing"));
const Entry moved10(made("reconcile.10.moved"));
const Entry moved100(made("reconcile.100.moved"));
const Entry moved500(made("reconcile.500.moved"));
const Entry moved1000(made("reconcile.1000.moved"));

} // namespace
