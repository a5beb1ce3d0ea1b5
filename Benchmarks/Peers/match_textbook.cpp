// A matching engine as textbooks have it: std::map of price levels, each a std::list of orders, ids in a table. It does
// less than ours: no self-trade rules, no post-only, and its reports are a vector of trades.
#include <list>
#include <map>

#include "peer.hpp"

using namespace peer;

namespace {

// As MatchMessage in Pieces/MatchFlow.swift.
struct Message {
    uint8_t kind, side, flags;
    uint32_t order;
    int64_t price, qty;
};
static_assert(sizeof(Message) == 24, "as it lies in memory");

struct Resting {
    uint32_t order;
    int64_t qty;
};

struct Place {
    bool is_live = false;
    uint8_t side = 0;
    int64_t price = 0;
    std::list<Resting>::iterator at;
};

struct Trade {
    uint32_t taker, maker;
    int64_t price, qty, maker_left;
};

class Engine {
public:
    Engine() : places_(16384) {}

    void enter(uint32_t order, uint8_t side, int64_t price, int64_t qty, bool rests)
    {
        trades_.clear();
        const int64_t left = side == 0 ? take(asks_, order, side, price, qty) : take(bids_, order, side, price, qty);
        if (left > 0 && rests) {
            std::list<Resting> &level = side == 0 ? bids_[-price] : asks_[price];
            level.push_back({order, left});
            places_[order] = {true, side, price, std::prev(level.end())};
            count_++;
        }
    }

    void cancel(uint32_t order)
    {
        trades_.clear();
        remove(places_[order]);
    }

    void modify(uint32_t order, int64_t price, int64_t qty)
    {
        trades_.clear();
        Place &place = places_[order];
        if (!place.is_live) return;
        if (place.price == price && qty <= place.at->qty) {
            place.at->qty = qty;
            return;
        }
        const uint8_t side = place.side;
        remove(place);
        enter(order, side, price, qty, true);
    }

    const std::vector<Trade> &trades() const { return trades_; }
    int64_t count() const { return count_; }

private:
    using Levels = std::map<int64_t, std::list<Resting>>; // bids by negated price: the best is first

    int64_t take(Levels &levels, uint32_t order, uint8_t side, int64_t price, int64_t left)
    {
        while (left > 0 && !levels.empty()) {
            const auto best = levels.begin();
            const int64_t best_price = side == 0 ? best->first : -best->first;
            if (side == 0 ? best_price > price : best_price < price) break;
            std::list<Resting> &queue = best->second;
            while (left > 0 && !queue.empty()) {
                Resting &maker = queue.front();
                const int64_t qty = left < maker.qty ? left : maker.qty;
                left -= qty;
                maker.qty -= qty;
                trades_.push_back({order, maker.order, best_price, qty, maker.qty});
                if (maker.qty == 0) {
                    places_[maker.order].is_live = false;
                    count_--;
                    queue.pop_front();
                }
            }
            if (queue.empty()) levels.erase(best);
        }
        return left;
    }

    void remove(Place &place)
    {
        if (!place.is_live) return;
        Levels &levels = place.side == 0 ? bids_ : asks_;
        const auto level = levels.find(place.side == 0 ? -place.price : place.price);
        level->second.erase(place.at);
        if (level->second.empty()) levels.erase(level);
        place.is_live = false;
        count_--;
    }

    Levels bids_, asks_;
    std::vector<Place> places_;
    std::vector<Trade> trades_;
    int64_t count_ = 0;
};

class Flow {
public:
    explicit Flow(const apus_peer_input &input)
        : messages_(static_cast<const Message *>(input.bytes)), count_(input.count / sizeof(Message)),
          engine_(std::make_unique<Engine>())
    {
    }

    // Goes on where the last call ended; begins again at the end of the flow, on a new engine, made untimed.
    int64_t run(uint64_t count)
    {
        if (next_ == count_) restart();
        const int64_t start = now_ns();
        play(count);
        return now_ns() - start;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        restart();
        play(count_);
        Numbers numbers{out, capacity};
        numbers(trades_);
        numbers(quantity_);
        numbers(value_);
        numbers(engine_->count());
        restart();
        return numbers.count;
    }

private:
    void restart()
    {
        engine_ = std::make_unique<Engine>();
        next_ = 0;
        trades_ = quantity_ = value_ = 0;
    }

    void play(uint64_t count)
    {
        for (const size_t end = next_ + count < count_ ? next_ + count : count_; next_ < end; next_++) {
            const Message &message = messages_[next_];
            if (message.kind == 0) {
                engine_->enter(message.order, message.side, message.price, message.qty, message.flags == 0);
            } else if (message.kind == 1) {
                engine_->cancel(message.order);
            } else {
                engine_->modify(message.order, message.price, message.qty);
            }
            for (const Trade &trade : engine_->trades()) {
                trades_++;
                quantity_ += trade.qty;
                value_ += trade.price * trade.qty;
            }
        }
    }

    const Message *messages_;
    size_t count_, next_ = 0;
    std::unique_ptr<Engine> engine_;
    int64_t trades_ = 0, quantity_ = 0, value_ = 0;
};

constexpr apus_peer made(const char *row) { return entry<Flow>(row, "std::map of std::list", APUS_PEER_TEXTBOOK); }
const Entry still(made("match.still"));
const Entry normal(made("match.normal"));
const Entry swing25(made("match.swing25"));
const Entry swing40(made("match.swing40"));
const Entry crash(made("match.crash"));

} // namespace
