// Writing an order with the language's own means: std::to_chars and memcpy, and snprintf.
#include <charconv>
#include <cstdio>

#include "peer.hpp"

using namespace peer;

namespace {

struct Order {
    uint64_t request, client;
    int64_t price, qty;
};

struct ToChars {
    template <size_t Size> static char *text(char *out, const char (&literal)[Size])
    {
        std::memcpy(out, literal, Size - 1);
        return out + Size - 1;
    }
    // Thousandths without trailing zeros.
    static char *thousandths(char *out, int64_t value)
    {
        out = std::to_chars(out, out + 20, value / 1000).ptr;
        int64_t rest = value % 1000;
        if (rest == 0) return out;
        *out++ = '.';
        *out++ = static_cast<char>('0' + rest / 100);
        *out++ = static_cast<char>('0' + rest / 10 % 10);
        *out++ = static_cast<char>('0' + rest % 10);
        while (out[-1] == '0') out--;
        return out;
    }
    static size_t write(char *memory, const Order &order)
    {
        char *out = text(memory, "{\"method\":\"private/insert\",\"id\":");
        out = std::to_chars(out, out + 20, order.request).ptr;
        out = text(out, ",\"params\":{\"direction\":\"buy\",\"instrument_name\":\"BTC-PERPETUAL\",\"amount\":");
        out = thousandths(out, order.qty);
        out = text(out, ",\"price\":");
        out = std::to_chars(out, out + 20, order.price).ptr;
        out = text(out, ",\"client_order_id\":");
        out = std::to_chars(out, out + 20, order.client).ptr;
        out = text(out, ",\"label\":\"apus-bench-12345\",\"post_only\":true}}");
        return static_cast<size_t>(out - memory);
    }
};

struct Printf {
    static size_t write(char *memory, const Order &order)
    {
        // As many decimals as the size needs.
        const int decimals = order.qty % 1000 == 0 ? 0 : order.qty % 100 == 0 ? 1 : order.qty % 10 == 0 ? 2 : 3;
        return static_cast<size_t>(std::snprintf(
            memory, 1024,
            "{\"method\":\"private/insert\",\"id\":%llu,\"params\":{\"direction\":\"buy\",\"instrument_name\":"
            "\"BTC-PERPETUAL\",\"amount\":%.*f,\"price\":%lld,\"client_order_id\":%llu,\"label\":"
            "\"apus-bench-12345\",\"post_only\":true}}",
            static_cast<unsigned long long>(order.request), decimals, static_cast<double>(order.qty) / 1000,
            static_cast<long long>(order.price), static_cast<unsigned long long>(order.client)));
    }
};

template <class Writer> class Insert {
public:
    explicit Insert(const apus_peer_input &input) : orders_(items<Order>(input)), memory_(1024) {}

    int64_t run(uint64_t count)
    {
        size_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            sum += Writer::write(memory_.data(), orders_[i % orders_.size()]);
            keep(memory_.data());
        }
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        for (const Order &order : orders_) {
            const size_t count = Writer::write(memory_.data(), order);
            numbers(hash(memory_.data(), count));
        }
        return numbers.count;
    }

private:
    std::vector<Order> orders_;
    std::vector<char> memory_;
};

// An order to Bybit: what changes in it is the id and its serial, the time, size, price and the order's tag.
struct BybitOrder {
    uint64_t request, serial;
    int64_t price, qty, time;
    char tag[16];
};

struct BybitToChars {
    static size_t write(char *memory, const BybitOrder &order)
    {
        char *out = ToChars::text(memory, "{\"reqId\":\"");
        out = std::to_chars(out, out + 20, order.request).ptr;
        *out++ = '-';
        out = std::to_chars(out, out + 20, order.serial).ptr;
        out = ToChars::text(out, "\",\"header\":{\"X-BAPI-TIMESTAMP\":\"");
        out = std::to_chars(out, out + 20, order.time).ptr;
        out = ToChars::text(out, "\",\"X-BAPI-RECV-WINDOW\":\"5000\"},\"op\":\"order.create\",\"args\":[{\"category\":"
                                 "\"linear\",\"symbol\":\"BTCUSDT\",\"side\":\"Buy\",\"orderType\":\"Limit\",\"qty\":\"");
        out = ToChars::thousandths(out, order.qty);
        out = ToChars::text(out, "\",\"price\":\"");
        out = std::to_chars(out, out + 20, order.price / 10).ptr;
        if (order.price % 10 != 0) {
            *out++ = '.';
            *out++ = static_cast<char>('0' + order.price % 10);
        }
        out = ToChars::text(out, "\",\"timeInForce\":\"PostOnly\",\"positionIdx\":0,\"orderLinkId\":"
                                 "\"apus-bench-mh2k0-");
        std::memcpy(out, order.tag, 10);
        out = ToChars::text(out + 10, "\"}]}");
        return static_cast<size_t>(out - memory);
    }
};

// An order to Deribit: what changes in it is the id, size, price and the label's digits.
struct DeribitOrder {
    uint64_t request;
    int64_t price, qty;
    char tag[16];
};

struct DeribitToChars {
    static size_t write(char *memory, const DeribitOrder &order)
    {
        char *out = ToChars::text(memory, "{\"jsonrpc\":\"2.0\",\"id\":");
        out = std::to_chars(out, out + 20, order.request).ptr;
        out = ToChars::text(out, ",\"method\":\"private/buy\",\"params\":{\"instrument_name\":\"BTC-PERPETUAL\","
                                 "\"type\":\"limit\",\"amount\":");
        out = std::to_chars(out, out + 20, order.qty * 10).ptr;
        out = ToChars::text(out, ",\"price\":");
        out = std::to_chars(out, out + 20, order.price / 2).ptr;
        if (order.price % 2 != 0) out = ToChars::text(out, ".5");
        out = ToChars::text(out, ",\"label\":\"apus-bench-mh2k0-");
        std::memcpy(out, order.tag, 10);
        out = ToChars::text(out + 10, "\",\"post_only\":true}}");
        return static_cast<size_t>(out - memory);
    }
};

// Writes one order after the other.
template <class Record, class Writer> class Orders {
public:
    explicit Orders(const apus_peer_input &input) : orders_(items<Record>(input)), memory_(1024) {}

    int64_t run(uint64_t count)
    {
        size_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            sum += Writer::write(memory_.data(), orders_[i % orders_.size()]);
            keep(memory_.data());
        }
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        for (const Record &order : orders_) {
            numbers(hash(memory_.data(), Writer::write(memory_.data(), order)));
        }
        return numbers.count;
    }

private:
    std::vector<Record> orders_;
    std::vector<char> memory_;
};

const Entry bybit_create(
    entry<Orders<BybitOrder, BybitToChars>>("bybit.encode.create", "to_chars + memcpy", APUS_PEER_SYSTEM));
const Entry deribit_buy(
    entry<Orders<DeribitOrder, DeribitToChars>>("deribit.encode.buy", "to_chars + memcpy", APUS_PEER_SYSTEM));
// Ten options, one level a side: bid and ask of each in turn.
struct Level {
    int64_t price, qty;
};
constexpr size_t levels_a_message = 20;

struct MassToChars {
    static size_t write(char *memory, const Level *levels)
    {
        char *out = ToChars::text(memory, "{\"method\":\"private/mass_quote\",\"id\":22,\"params\":{\"quotes\":[");
        for (size_t i = 0; i < levels_a_message; i += 2) {
            out = ToChars::text(out, "{\"i\":\"BTC-24APR26-");
            out = std::to_chars(out, out + 20, 80000 + 500 * i).ptr;
            out = ToChars::text(out, "-C\",\"b\":[[");
            out = std::to_chars(out, out + 20, levels[i].price).ptr;
            *out++ = ',';
            out = ToChars::thousandths(out, levels[i].qty);
            out = ToChars::text(out, "]],\"a\":[[");
            out = std::to_chars(out, out + 20, levels[i + 1].price).ptr;
            *out++ = ',';
            out = ToChars::thousandths(out, levels[i + 1].qty);
            out = ToChars::text(out, "]]},");
        }
        out = ToChars::text(out - 1, "],\"label\":\"apus-bench-12345\",\"post_only\":true}}");
        return static_cast<size_t>(out - memory);
    }
};

struct MassPrintf {
    static int decimals(int64_t qty) { return qty % 1000 == 0 ? 0 : qty % 100 == 0 ? 1 : qty % 10 == 0 ? 2 : 3; }
    static size_t write(char *memory, const Level *levels)
    {
        char *out = memory + std::sprintf(memory, "{\"method\":\"private/mass_quote\",\"id\":%d,\"params\":{\"quotes\":[", 22);
        for (size_t i = 0; i < levels_a_message; i += 2) {
            const Level &bid = levels[i], &ask = levels[i + 1];
            out += std::sprintf(
                out, "%s{\"i\":\"BTC-24APR26-%zu-C\",\"b\":[[%lld,%.*f]],\"a\":[[%lld,%.*f]]}", i == 0 ? "" : ",",
                80000 + 500 * i, static_cast<long long>(bid.price), decimals(bid.qty),
                static_cast<double>(bid.qty) / 1000, static_cast<long long>(ask.price), decimals(ask.qty),
                static_cast<double>(ask.qty) / 1000);
        }
        out += std::sprintf(out, "],\"label\":\"apus-bench-12345\",\"post_only\":true}}");
        return static_cast<size_t>(out - memory);
    }
};

template <class Writer> class Mass {
public:
    explicit Mass(const apus_peer_input &input) : levels_(items<Level>(input)), memory_(8192) {}

    int64_t run(uint64_t count)
    {
        const size_t messages = levels_.size() / levels_a_message;
        size_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            sum += Writer::write(memory_.data(), &levels_[i % messages * levels_a_message]);
            keep(memory_.data());
        }
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Numbers numbers{out, capacity};
        for (size_t i = 0; i < levels_.size(); i += levels_a_message) {
            numbers(hash(memory_.data(), Writer::write(memory_.data(), &levels_[i])));
        }
        return numbers.count;
    }

private:
    std::vector<Level> levels_;
    std::vector<char> memory_;
};

const Entry mass_to_chars(entry<Mass<MassToChars>>("encode.massquote", "to_chars + memcpy", APUS_PEER_SYSTEM));
const Entry mass_print(entry<Mass<MassPrintf>>("encode.massquote", "snprintf", APUS_PEER_SYSTEM));
const Entry to_chars(entry<Insert<ToChars>>("encode.insert", "to_chars + memcpy", APUS_PEER_SYSTEM));
const Entry print(entry<Insert<Printf>>("encode.insert", "snprintf", APUS_PEER_SYSTEM));

} // namespace
