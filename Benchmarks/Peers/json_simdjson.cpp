// simdjson, on-demand: members are found in the order in which they stand, numbers are read as doubles and rounded.
// needs: libsimdjson-dev
// links: simdjson
#include <simdjson.h>

#include "decode.hpp"

using namespace simdjson;
using namespace peer;

namespace {

struct Base {
    explicit Base(const apus_peer_input &input) : text(static_cast<const char *>(input.bytes), input.count) {}
    padded_string text;
    ondemand::parser parser;
};

struct Ticker : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::document doc;
        if (parser.iterate(text).get(doc)) return false;
        std::string_view channel;
        if (doc.find_field("channel_name").get(channel) || channel.substr(0, 7) != "ticker.") return false;
        ondemand::object t;
        if (doc.find_field("notification").get(t)) return false;
        double mark{}, time{}, bid{}, bid_qty{}, ask{}, ask_qty{}, last{}, index{}, low{}, high{}, funding{};
        if (t.find_field("mark_price").get(mark) || t.find_field("mark_timestamp").get(time)
            || t.find_field("best_bid_price").get(bid) || t.find_field("best_bid_amount").get(bid_qty)
            || t.find_field("best_ask_price").get(ask) || t.find_field("best_ask_amount").get(ask_qty)
            || t.find_field("last_price").get(last) || t.find_field("index").get(index)
            || t.find_field("collar_low").get(low) || t.find_field("collar_high").get(high)
            || t.find_field("funding_rate").get(funding))
            return false;
        sink(scaled(mark, e8));
        sink(scaled(index, e8));
        sink(scaled(bid, ticks));
        sink(scaled(bid_qty, lots));
        sink(scaled(ask, ticks));
        sink(scaled(ask_qty, lots));
        sink(scaled(last, ticks));
        sink(scaled(low, e8));
        sink(scaled(high, e8));
        sink(scaled(funding, e12));
        sink(scaled(time, micros));
        return true;
    }
};

struct Book : Base {
    using Base::Base;
    template <class Sink> static bool side(ondemand::array levels, int64_t side, Sink &sink)
    {
        for (auto item : levels) {
            ondemand::array level;
            if (item.get(level)) return false;
            double numbers[3]{};
            int place = 0;
            for (auto number : level) {
                if (place < 3 && number.get(numbers[place])) return false;
                place++;
            }
            if (place != 3) return false;
            sink(side);
            sink(scaled(numbers[0], ticks));
            sink(scaled(numbers[1], lots));
        }
        return true;
    }
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::document doc;
        if (parser.iterate(text).get(doc)) return false;
        std::string_view channel;
        if (doc.find_field("channel_name").get(channel) || channel.substr(0, 5) != "book.") return false;
        ondemand::object book;
        if (doc.find_field("notification").get(book)) return false;
        ondemand::array bids, asks;
        if (book.find_field("bid_changes").get(bids) || !side(bids, 0, sink)) return false;
        return !book.find_field("ask_changes").get(asks) && side(asks, 1, sink);
    }
};

struct Orders : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::document doc;
        if (parser.iterate(text).get(doc)) return false;
        std::string_view channel;
        if (doc.find_field("channel_name").get(channel) || channel != "session.orders") return false;
        ondemand::array list;
        if (doc.find_field("notification").get(list)) return false;
        for (auto item : list) {
            ondemand::object o;
            if (item.get(o)) return false;
            std::string_view id, instrument, direction, label, status, reason;
            double price{}, amount{}, filled{}, remaining{}, time{};
            uint64_t client{};
            bool persistent{};
            if (o.find_field("order_id").get(id) || o.find_field("instrument_name").get(instrument)
                || o.find_field("direction").get(direction) || o.find_field("price").get(price)
                || o.find_field("amount").get(amount) || o.find_field("filled_amount").get(filled)
                || o.find_field("remaining_amount").get(remaining) || o.find_field("label").get(label)
                || o.find_field("client_order_id").get(client) || o.find_field("status").get(status)
                || o.find_field("change_reason").get(reason) || o.find_field("create_time").get(time)
                || o.find_field("persistent").get(persistent) || instrument != "BTC-PERPETUAL" || id.size() > 39)
                return false;
            sink(direction == "buy" ? 0 : 1);
            sink(scaled(price, ticks));
            sink(scaled(amount, lots));
            sink(scaled(filled, lots));
            sink(scaled(remaining, lots));
            sink(static_cast<int64_t>(client));
            sink(status == "open" || status == "partially_filled" ? 1 : 0);
            sink(scaled(time, micros));
        }
        return true;
    }
};

// Bybit's numbers are strings.
constexpr double tenths = 10;

struct BybitBook : Base {
    using Base::Base;
    template <class Sink> static bool side(ondemand::array levels, int64_t side, Sink &sink)
    {
        for (auto item : levels) {
            ondemand::array level;
            if (item.get(level)) return false;
            double numbers[2]{};
            int place = 0;
            for (auto number : level) {
                if (place < 2 && number.get_double_in_string().get(numbers[place])) return false;
                place++;
            }
            if (place < 2) return false;
            sink(side);
            sink(scaled(numbers[0], tenths));
            sink(scaled(numbers[1], lots));
        }
        return true;
    }
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::document doc;
        if (parser.iterate(text).get(doc)) return false;
        std::string_view topic, type;
        if (doc.find_field("topic").get(topic) || topic != "orderbook.50.BTCUSDT") return false;
        if (doc.find_field("type").get(type)) return false;
        ondemand::object data;
        if (doc.find_field("data").get(data)) return false;
        ondemand::array bids, asks;
        if (data.find_field("b").get(bids) || !side(bids, 0, sink)) return false;
        if (data.find_field("a").get(asks) || !side(asks, 1, sink)) return false;
        uint64_t update{};
        if (data.find_field("u").get(update)) return false;
        keep(update);
        return true;
    }
};

// The object that the list of a message has as its only item.
struct BybitItem : Base {
    using Base::Base;
    template <class Body> bool read(std::string_view wanted, Body body)
    {
        ondemand::document doc;
        if (parser.iterate(text).get(doc)) return false;
        std::string_view topic;
        if (doc.find_field("topic").get(topic) || topic != wanted) return false;
        ondemand::array list;
        if (doc.find_field("data").get(list)) return false;
        for (auto item : list) {
            ondemand::object object;
            if (item.get(object) || !body(object)) return false;
        }
        return true;
    }
    static bool number(ondemand::object &object, const char *key, double &out)
    {
        return object.find_field(key).get_double_in_string().get(out) == SUCCESS;
    }
};

struct BybitOrder : BybitItem {
    using BybitItem::BybitItem;
    template <class Sink> bool decode(Sink &sink)
    {
        return read("order.linear", [&](ondemand::object &o) {
            std::string_view category, symbol, id, link, side, status, cancel, reason, type;
            double price{}, qty{}, left{}, filled{}, time{};
            if (o.find_field("category").get(category) || o.find_field("symbol").get(symbol)
                || o.find_field("orderId").get(id) || o.find_field("orderLinkId").get(link)
                || o.find_field("side").get(side) || o.find_field("orderStatus").get(status)
                || o.find_field("cancelType").get(cancel) || o.find_field("rejectReason").get(reason)
                || !number(o, "price", price) || !number(o, "qty", qty) || !number(o, "leavesQty", left)
                || !number(o, "cumExecQty", filled) || o.find_field("orderType").get(type)
                || !number(o, "createdTime", time) || symbol != "BTCUSDT" || id.size() > 39)
                return false;
            sink(side == "Buy" ? 0 : 1);
            sink(scaled(price, tenths));
            sink(scaled(qty, lots));
            sink(scaled(filled, lots));
            sink(scaled(left, lots));
            sink(status == "New" || status == "PartiallyFilled" ? 1 : 0);
            sink(scaled(time, 1));
            return true;
        });
    }
};

struct BybitExecution : BybitItem {
    using BybitItem::BybitItem;
    template <class Sink> bool decode(Sink &sink)
    {
        return read("execution.linear", [&](ondemand::object &o) {
            std::string_view category, symbol, execution, type, id, link, side, coin;
            double fee{}, price{}, qty{}, time{};
            bool maker{};
            if (o.find_field("category").get(category) || o.find_field("symbol").get(symbol)
                || !number(o, "execFee", fee) || o.find_field("execId").get(execution)
                || !number(o, "execPrice", price) || !number(o, "execQty", qty) || o.find_field("execType").get(type)
                || o.find_field("orderId").get(id) || o.find_field("orderLinkId").get(link)
                || o.find_field("side").get(side) || !number(o, "execTime", time)
                || o.find_field("isMaker").get(maker) || o.find_field("feeCurrency").get(coin) || symbol != "BTCUSDT"
                || type != "Trade")
                return false;
            sink(side == "Buy" ? 0 : 1);
            sink(scaled(price, tenths));
            sink(scaled(qty, lots));
            sink(scaled(fee, e8));
            sink(maker ? 1 : 0);
            sink(scaled(time, 1));
            return true;
        });
    }
};

// Deribit's levels have a word before the numbers. Prices are in halves, amounts in tens.
constexpr double halves = 2, tens = 0.1;

struct Deribit : Base {
    using Base::Base;
    ondemand::document doc;
    // The data of a notification of this channel.
    bool open(std::string_view channel, ondemand::object &data)
    {
        if (parser.iterate(text).get(doc)) return false;
        std::string_view method, found;
        if (doc.find_field("method").get(method) || method != "subscription") return false;
        ondemand::object params;
        if (doc.find_field("params").get(params) || params.find_field("channel").get(found) || found != channel)
            return false;
        return params.find_field("data").get(data) == SUCCESS;
    }
    template <class Sink> static bool order(ondemand::object o, Sink &sink)
    {
        std::string_view label, direction, instrument, id, status;
        double price{}, amount{}, filled{};
        uint64_t time{};
        bool replaced{};
        if (o.find_field("label").get(label) || o.find_field("price").get(price)
            || o.find_field("direction").get(direction) || o.find_field("instrument_name").get(instrument)
            || o.find_field("amount").get(amount) || o.find_field("order_id").get(id)
            || o.find_field("creation_timestamp").get(time) || o.find_field("filled_amount").get(filled)
            || o.find_field("replaced").get(replaced) || o.find_field("order_state").get(status)
            || instrument != "BTC-PERPETUAL" || id.size() > 39)
            return false;
        keep(label);
        keep(replaced);
        const int64_t qty = scaled(amount, tens), done = scaled(filled, tens);
        const bool live = status == "open";
        sink(direction == "buy" ? 0 : 1);
        sink(scaled(price, halves));
        sink(qty);
        sink(done);
        sink(live ? qty - done : 0);
        sink(live ? 1 : 0);
        sink(static_cast<int64_t>(time));
        return true;
    }
};

struct DeribitBook : Deribit {
    using Deribit::Deribit;
    template <class Sink> static bool side(ondemand::array levels, int64_t side, Sink &sink)
    {
        for (auto item : levels) {
            ondemand::array level;
            if (item.get(level)) return false;
            double numbers[2]{};
            int place = 0;
            for (auto value : level) {
                std::string_view word;
                if (place == 0 ? value.get(word) : place < 3 && value.get(numbers[place - 1])) return false;
                place++;
            }
            if (place != 3) return false;
            sink(side);
            sink(scaled(numbers[0], halves));
            sink(scaled(numbers[1], tens));
        }
        return true;
    }
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::object data;
        std::string_view type;
        if (!open("book.BTC-PERPETUAL.raw", data) || data.find_field("type").get(type)) return false;
        uint64_t previous{}, change{};
        if (type == "change" && data.find_field("prev_change_id").get(previous)) return false;
        if (data.find_field("change_id").get(change)) return false;
        keep(previous);
        keep(change);
        ondemand::array bids, asks;
        if (data.find_field("bids").get(bids) || !side(bids, 0, sink)) return false;
        return !data.find_field("asks").get(asks) && side(asks, 1, sink);
    }
};

struct DeribitTicker : Deribit {
    using Deribit::Deribit;
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::object t;
        if (!open("ticker.BTC-PERPETUAL.100ms", t)) return false;
        std::string_view state;
        uint64_t time{};
        double low{}, high{}, mark{}, last{}, index{}, funding{}, bid{}, bid_qty{}, ask{}, ask_qty{};
        if (t.find_field("timestamp").get(time) || t.find_field("state").get(state)
            || t.find_field("min_price").get(low) || t.find_field("max_price").get(high)
            || t.find_field("mark_price").get(mark) || t.find_field("last_price").get(last)
            || t.find_field("index_price").get(index) || t.find_field("current_funding").get(funding)
            || t.find_field("best_bid_price").get(bid) || t.find_field("best_bid_amount").get(bid_qty)
            || t.find_field("best_ask_price").get(ask) || t.find_field("best_ask_amount").get(ask_qty)
            || state != "open")
            return false;
        sink(scaled(mark, e8));
        sink(scaled(index, e8));
        sink(scaled(bid, halves));
        sink(scaled(bid_qty, tens));
        sink(scaled(ask, halves));
        sink(scaled(ask_qty, tens));
        sink(scaled(last, halves));
        sink(scaled(low, e8));
        sink(scaled(high, e8));
        sink(scaled(funding, e12));
        sink(static_cast<int64_t>(time));
        return true;
    }
};

struct DeribitFill : Deribit {
    using Deribit::Deribit;
    template <class Sink> static bool trade(ondemand::object t, Sink &sink)
    {
        std::string_view label, direction, instrument, order, id, liquidity;
        uint64_t time{};
        double price{}, amount{}, fee{};
        if (t.find_field("label").get(label) || t.find_field("timestamp").get(time)
            || t.find_field("price").get(price) || t.find_field("direction").get(direction)
            || t.find_field("instrument_name").get(instrument) || t.find_field("amount").get(amount)
            || t.find_field("order_id").get(order) || t.find_field("trade_id").get(id)
            || t.find_field("fee").get(fee) || t.find_field("liquidity").get(liquidity)
            || instrument != "BTC-PERPETUAL" || order.size() > 39 || id.size() > 39)
            return false;
        keep(label);
        sink(direction == "buy" ? 0 : 1);
        sink(scaled(price, halves));
        sink(scaled(amount, tens));
        sink(scaled(fee, e8));
        sink(liquidity == "M" ? 1 : 0);
        sink(static_cast<int64_t>(time));
        return true;
    }
    template <class Sink> static bool position(ondemand::object p, Sink &sink)
    {
        std::string_view instrument;
        double size{}, mark{}, average{};
        if (p.find_field("size").get(size) || p.find_field("mark_price").get(mark)
            || p.find_field("instrument_name").get(instrument) || p.find_field("average_price").get(average)
            || instrument != "BTC-PERPETUAL")
            return false;
        sink(scaled(size, tens));
        sink(scaled(mark, e8));
        sink(scaled(average, e8));
        return true;
    }
    template <class Body> static bool each(ondemand::object &data, const char *key, Body body)
    {
        ondemand::array list;
        if (data.find_field(key).get(list)) return false;
        for (auto item : list) {
            ondemand::object object;
            if (item.get(object) || !body(object)) return false;
        }
        return true;
    }
    template <class Sink> bool decode(Sink &sink)
    {
        ondemand::object data;
        return open("user.changes.future.BTC.raw", data)
            && each(data, "trades", [&](ondemand::object &t) { return trade(t, sink); })
            && each(data, "orders", [&](ondemand::object &o) { return order(o, sink); })
            && each(data, "positions", [&](ondemand::object &p) { return position(p, sink); });
    }
};

struct DeribitReply : Deribit {
    using Deribit::Deribit;
    template <class Sink> bool decode(Sink &sink)
    {
        if (parser.iterate(text).get(doc)) return false;
        uint64_t id{}, time{};
        ondemand::object result, record;
        if (doc.find_field("id").get(id) || doc.find_field("result").get(result)
            || result.find_field("order").get(record) || !order(record, sink))
            return false;
        ondemand::array trades;
        if (result.find_field("trades").get(trades)) return false;
        for (auto item : trades) {
            ondemand::object trade;
            if (item.get(trade) || !DeribitFill::trade(trade, sink)) return false;
        }
        if (doc.find_field("usOut").get(time)) return false;
        keep(id);
        keep(time);
        return true;
    }
};

const char name[] = "simdjson on-demand";
const Entry deribit_snapshot(entry<Decode<DeribitBook>>("deribit.decode.snapshot", name));
const Entry deribit_change(entry<Decode<DeribitBook>>("deribit.decode.change", name));
const Entry deribit_ticker(entry<Decode<DeribitTicker>>("deribit.decode.ticker", name));
const Entry deribit_fill(entry<Decode<DeribitFill>>("deribit.decode.fill", name));
const Entry deribit_reply(entry<Decode<DeribitReply>>("deribit.decode.reply", name));
const Entry bybit_book(entry<Decode<BybitBook>>("bybit.decode.book", name));
const Entry bybit_order(entry<Decode<BybitOrder>>("bybit.decode.order", name));
const Entry bybit_execution(entry<Decode<BybitExecution>>("bybit.decode.execution", name));
const Entry ticker(entry<Decode<Ticker>>("decode.ticker", name));
const Entry book(entry<Decode<Book>>("decode.book", name));
const Entry book10(entry<Decode<Book>>("decode.book10", name));
const Entry orders(entry<Decode<Orders>>("decode.orders", name));
const Entry order(entry<Decode<Orders>>("decode.order", name));

} // namespace
