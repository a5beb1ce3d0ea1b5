// RapidJSON: a document in memory that is used again for each text.
// needs: rapidjson-dev
#include <rapidjson/document.h>

#include "decode.hpp"

using namespace peer;

namespace {

using Document = rapidjson::GenericDocument<rapidjson::UTF8<>, rapidjson::MemoryPoolAllocator<>,
                                            rapidjson::MemoryPoolAllocator<>>;
using Value = Document::ValueType;

struct Base {
    explicit Base(const apus_peer_input &input)
        : text(static_cast<const char *>(input.bytes), input.count), values(1 << 17), stack(1 << 17)
    {
    }
    template <class Body> bool parsed(Body body)
    {
        rapidjson::MemoryPoolAllocator<> value_pool(values.data(), values.size());
        rapidjson::MemoryPoolAllocator<> stack_pool(stack.data(), stack.size());
        Document doc(&value_pool, 1 << 14, &stack_pool);
        doc.Parse(text.data(), text.size());
        return !doc.HasParseError() && body(doc);
    }
    std::string text;
    std::vector<char> values, stack;
};

double number(const Value &object, const char *name) { return object[name].GetDouble(); }

struct Ticker : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](const Document &doc) {
            const Value &t = doc["notification"];
            sink(scaled(number(t, "mark_price"), e8));
            sink(scaled(number(t, "index"), e8));
            sink(scaled(number(t, "best_bid_price"), ticks));
            sink(scaled(number(t, "best_bid_amount"), lots));
            sink(scaled(number(t, "best_ask_price"), ticks));
            sink(scaled(number(t, "best_ask_amount"), lots));
            sink(scaled(number(t, "last_price"), ticks));
            sink(scaled(number(t, "collar_low"), e8));
            sink(scaled(number(t, "collar_high"), e8));
            sink(scaled(number(t, "funding_rate"), e12));
            sink(scaled(number(t, "mark_timestamp"), micros));
            return true;
        });
    }
};

struct Book : Base {
    using Base::Base;
    template <class Sink> bool decode(Sink &sink)
    {
        return parsed([&](const Document &doc) {
            const Value &book = doc["notification"];
            int64_t side = 0;
            for (const char *name : {"bid_changes", "ask_changes"}) {
                for (const Value &level : book[name].GetArray()) {
                    sink(side);
                    sink(scaled(level[0].GetDouble(), ticks));
                    sink(scaled(level[1].GetDouble(), lots));
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
        return parsed([&](const Document &doc) {
            for (const Value &o : doc["notification"].GetArray()) {
                const char *const status = o["status"].GetString();
                sink(std::strcmp(o["direction"].GetString(), "buy") == 0 ? 0 : 1);
                sink(scaled(number(o, "price"), ticks));
                sink(scaled(number(o, "amount"), lots));
                sink(scaled(number(o, "filled_amount"), lots));
                sink(scaled(number(o, "remaining_amount"), lots));
                sink(o["client_order_id"].GetInt64());
                sink(std::strcmp(status, "open") == 0 || std::strcmp(status, "partially_filled") == 0 ? 1 : 0);
                sink(scaled(number(o, "create_time"), micros));
            }
            return true;
        });
    }
};

const char name[] = "rapidjson";
const Entry ticker(entry<Decode<Ticker>>("decode.ticker", name));
const Entry book(entry<Decode<Book>>("decode.book", name));
const Entry book10(entry<Decode<Book>>("decode.book10", name));
const Entry orders(entry<Decode<Orders>>("decode.orders", name));
const Entry order(entry<Decode<Orders>>("decode.order", name));

} // namespace
