// yyjson: a document in a pool that is used again; members are found in the order in which they stand.
// needs: yyjson (tools/bench takes its source from the PyPI package yyjson)
#include <charconv>

#include <yyjson.h>

#include "decode.hpp"

using namespace peer;

namespace {

struct Base {
    explicit Base(const apus_peer_input &input)
        : text(static_cast<const char *>(input.bytes), input.count),
          pool(yyjson_read_max_memory_usage(text.size(), 0))
    {
    }
    template <class Body> bool parsed(Body body, const char *member = "notification")
    {
        yyjson_alc allocator;
        if (!yyjson_alc_pool_init(&allocator, pool.data(), pool.size())) return false;
        yyjson_doc *const doc = yyjson_read_opts(text.data(), text.size(), 0, &allocator, nullptr);
        if (doc == nullptr) return false;
        const bool result = body(yyjson_obj_get(yyjson_doc_get_root(doc), member));
        yyjson_doc_free(doc);
        return result;
    }
    std::string text;
    std::vector<char> pool;
};

double number(yyjson_obj_iter &members, const char *name)
{
    return yyjson_get_num(yyjson_obj_iter_get(&members, name));
}

struct Ticker : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](yyjson_val *object) {
            yyjson_obj_iter t = yyjson_obj_iter_with(object);
            const double mark = number(t, "mark_price"), time = number(t, "mark_timestamp");
            const double bid = number(t, "best_bid_price"), bid_qty = number(t, "best_bid_amount");
            const double ask = number(t, "best_ask_price"), ask_qty = number(t, "best_ask_amount");
            const double last = number(t, "last_price"), index = number(t, "index");
            const double low = number(t, "collar_low"), high = number(t, "collar_high");
            const double funding = number(t, "funding_rate");
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
        });
    }
};

struct Book : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](yyjson_val *object) {
            int64_t side = 0;
            for (const char *name : {"bid_changes", "ask_changes"}) {
                yyjson_arr_iter levels = yyjson_arr_iter_with(yyjson_obj_get(object, name));
                while (yyjson_val *const level = yyjson_arr_iter_next(&levels)) {
                    sink(side);
                    sink(scaled(yyjson_get_num(yyjson_arr_get(level, 0)), ticks));
                    sink(scaled(yyjson_get_num(yyjson_arr_get(level, 1)), lots));
                }
                side++;
            }
            return true;
        });
    }
};

struct Orders : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](yyjson_val *array) {
            yyjson_arr_iter items = yyjson_arr_iter_with(array);
            while (yyjson_val *const item = yyjson_arr_iter_next(&items)) {
                yyjson_obj_iter o = yyjson_obj_iter_with(item);
                yyjson_val *const direction = yyjson_obj_iter_get(&o, "direction");
                const double price = number(o, "price"), amount = number(o, "amount");
                const double filled = number(o, "filled_amount"), remaining = number(o, "remaining_amount");
                const int64_t client = yyjson_get_sint(yyjson_obj_iter_get(&o, "client_order_id"));
                yyjson_val *const status = yyjson_obj_iter_get(&o, "status");
                sink(yyjson_equals_str(direction, "buy") ? 0 : 1);
                sink(scaled(price, ticks));
                sink(scaled(amount, lots));
                sink(scaled(filled, lots));
                sink(scaled(remaining, lots));
                sink(client);
                sink(yyjson_equals_str(status, "open") || yyjson_equals_str(status, "partially_filled") ? 1 : 0);
                sink(scaled(number(o, "create_time"), micros));
            }
            return true;
        });
    }
};

// Bybit's numbers are strings.
double quoted(yyjson_val *value)
{
    const char *const text = yyjson_get_str(value);
    double number = 0;
    if (text != nullptr) std::from_chars(text, text + yyjson_get_len(value), number);
    return number;
}

struct BybitBook : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](yyjson_val *data) {
            int64_t side = 0;
            for (const char *name : {"b", "a"}) {
                yyjson_arr_iter levels = yyjson_arr_iter_with(yyjson_obj_get(data, name));
                while (yyjson_val *const level = yyjson_arr_iter_next(&levels)) {
                    sink(side);
                    sink(scaled(quoted(yyjson_arr_get(level, 0)), 10));
                    sink(scaled(quoted(yyjson_arr_get(level, 1)), lots));
                }
                side++;
            }
            keep(yyjson_get_uint(yyjson_obj_get(data, "u")));
            return true;
        }, "data");
    }
};

struct DeribitBook : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](yyjson_val *params) {
            yyjson_val *const data = yyjson_obj_get(params, "data");
            int64_t side = 0;
            for (const char *name : {"bids", "asks"}) {
                yyjson_arr_iter levels = yyjson_arr_iter_with(yyjson_obj_get(data, name));
                while (yyjson_val *const level = yyjson_arr_iter_next(&levels)) {
                    sink(side);
                    sink(scaled(yyjson_get_num(yyjson_arr_get(level, 1)), 2));
                    sink(scaled(yyjson_get_num(yyjson_arr_get(level, 2)), 0.1));
                }
                side++;
            }
            keep(yyjson_get_uint(yyjson_obj_get(data, "change_id")));
            return true;
        }, "params");
    }
};

const char name[] = "yyjson";
const Entry deribit_snapshot(entry<Decode<DeribitBook>>("deribit.decode.snapshot", name));
const Entry deribit_change(entry<Decode<DeribitBook>>("deribit.decode.change", name));
const Entry bybit_book(entry<Decode<BybitBook>>("bybit.decode.book", name));
const Entry ticker(entry<Decode<Ticker>>("decode.ticker", name));
const Entry book(entry<Decode<Book>>("decode.book", name));
const Entry book10(entry<Decode<Book>>("decode.book10", name));
const Entry orders(entry<Decode<Orders>>("decode.orders", name));
const Entry order(entry<Decode<Orders>>("decode.order", name));

// A document that is built and written out for each order, as a library without templates has to.
class Insert {
public:
    explicit Insert(const apus_peer_input &input) : orders_(items<Order>(input)), pool_(1 << 14), out_(1 << 14) {}

    int64_t run(uint64_t count)
    {
        size_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) sum += write(orders_[i % orders_.size()]).size();
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        for (const Order &order : orders_) {
            const std::string_view text = write(order);
            numbers(hash(text.data(), text.size()));
        }
        return numbers.count;
    }

private:
    struct Order {
        uint64_t request, client;
        int64_t price, qty;
    };

    std::string_view write(const Order &order)
    {
        yyjson_alc allocator;
        yyjson_alc_pool_init(&allocator, pool_.data(), pool_.size());
        yyjson_mut_doc *const doc = yyjson_mut_doc_new(&allocator);
        yyjson_mut_val *const root = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, root);
        yyjson_mut_obj_add_str(doc, root, "method", "private/insert");
        yyjson_mut_obj_add_uint(doc, root, "id", order.request);
        yyjson_mut_val *const params = yyjson_mut_obj(doc);
        yyjson_mut_obj_add_val(doc, root, "params", params);
        yyjson_mut_obj_add_str(doc, params, "direction", "buy");
        yyjson_mut_obj_add_str(doc, params, "instrument_name", "BTC-PERPETUAL");
        if (order.qty % 1000 == 0) {
            yyjson_mut_obj_add_int(doc, params, "amount", order.qty / 1000);
        } else {
            yyjson_mut_obj_add_real(doc, params, "amount", static_cast<double>(order.qty) / 1000);
        }
        yyjson_mut_obj_add_int(doc, params, "price", order.price);
        yyjson_mut_obj_add_uint(doc, params, "client_order_id", order.client);
        yyjson_mut_obj_add_str(doc, params, "label", "apus-bench-12345");
        yyjson_mut_obj_add_bool(doc, params, "post_only", true);
        yyjson_alc writer;
        yyjson_alc_pool_init(&writer, out_.data(), out_.size());
        size_t count = 0;
        const char *const text = yyjson_mut_write_opts(doc, 0, &writer, &count, nullptr);
        return text == nullptr ? std::string_view() : std::string_view(text, count);
    }

    std::vector<Order> orders_;
    std::vector<char> pool_, out_;
};

const Entry insert(entry<Insert>("encode.insert", "yyjson"));

} // namespace
