// wslay: frames through its frame functions; whole messages through its event functions, which check UTF-8.
// needs: libwslay-dev
// links: wslay
#include <wslay/wslay.h>

#include "peer.hpp"

using namespace peer;

namespace {

// What the library's callbacks read from and write to.
struct Wire {
    const uint8_t *in = nullptr;
    size_t in_count = 0;
    std::vector<uint8_t> out = std::vector<uint8_t>(4096);
    size_t out_count = 0;
    uint64_t keys = 1;

    static ssize_t send(const uint8_t *data, size_t count, int, void *self)
    {
        Wire *const wire = static_cast<Wire *>(self);
        std::memcpy(wire->out.data() + wire->out_count, data, count);
        wire->out_count += count;
        return static_cast<ssize_t>(count);
    }
    static ssize_t receive(uint8_t *buffer, size_t count, int, void *self)
    {
        Wire *const wire = static_cast<Wire *>(self);
        const size_t part = count < wire->in_count ? count : wire->in_count;
        std::memcpy(buffer, wire->in, part);
        wire->in += part;
        wire->in_count -= part;
        return part == 0 ? -1 : static_cast<ssize_t>(part);
    }
    static int make_key(uint8_t *buffer, size_t count, void *self)
    {
        Wire *const wire = static_cast<Wire *>(self);
        wire->keys = wire->keys * 6364136223846793005u + 1442695040888963407u;
        std::memcpy(buffer, reinterpret_cast<const char *>(&wire->keys) + 3, count);
        return 0;
    }
};

class Frames {
public:
    explicit Frames(const apus_peer_input &input)
        : bytes_(static_cast<const uint8_t *>(input.bytes)), count_(input.count)
    {
        const wslay_frame_callbacks callbacks = {Wire::send, Wire::receive, Wire::make_key};
        if (wslay_frame_context_init(&context_, &callbacks, &wire_) != 0) throw std::bad_alloc();
    }
    ~Frames() { wslay_frame_context_free(context_); }
    Frames(const Frames &) = delete;
    Frames &operator=(const Frames &) = delete;

protected:
    const uint8_t *bytes_;
    size_t count_;
    Wire wire_;
    wslay_frame_context_ptr context_;
};

// The whole frame is read: the library gives the payload in pieces of its buffer.
class Parse : Frames {
public:
    using Frames::Frames;

    int64_t run(uint64_t count)
    {
        uint64_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) sum += parse().payload_length;
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        const wslay_frame_iocb frame = parse();
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(count_ - frame.payload_length));
        numbers(static_cast<int64_t>(frame.payload_length));
        numbers(frame.opcode);
        numbers(frame.fin);
        return numbers.count;
    }

private:
    wslay_frame_iocb parse()
    {
        wire_.in = bytes_;
        wire_.in_count = count_;
        wslay_frame_iocb frame{};
        uint64_t left = 1;
        while (left > 0) {
            const ssize_t got = wslay_frame_recv(context_, &frame);
            if (got < 0) std::abort();
            left = left == 1 ? frame.payload_length - static_cast<uint64_t>(got) : left - static_cast<uint64_t>(got);
        }
        return frame;
    }
};

class Build : Frames {
public:
    using Frames::Frames;

    int64_t run(uint64_t count)
    {
        uint64_t sum = 0;
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) sum += build();
        const int64_t time = now_ns() - start;
        keep(sum);
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        build();
        std::string plain(count_, 0);
        for (size_t i = 0; i < count_; i++) plain[i] = static_cast<char>(wire_.out[8 + i] ^ wire_.out[4 + i % 4]);
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(wire_.out_count));
        numbers(wire_.out[0]);
        numbers(wire_.out[1]);
        numbers(hash(plain.data(), plain.size()));
        return numbers.count;
    }

private:
    size_t build()
    {
        wire_.out_count = 0;
        wslay_frame_iocb frame{};
        frame.fin = 1;
        frame.opcode = WSLAY_TEXT_FRAME;
        frame.payload_length = count_;
        frame.mask = 1;
        frame.data = bytes_;
        frame.data_length = count_;
        while (wire_.out_count < count_ + 8) {
            const ssize_t sent = wslay_frame_send(context_, &frame);
            if (sent < 0) std::abort();
            frame.data += sent;
            frame.data_length -= static_cast<size_t>(sent);
        }
        return wire_.out_count;
    }
};

class Receive {
public:
    explicit Receive(const apus_peer_input &input)
        : bytes_(static_cast<const uint8_t *>(input.bytes)), count_(input.count)
    {
        wslay_event_callbacks callbacks = {};
        callbacks.recv_callback = [](wslay_event_context_ptr context, uint8_t *buffer, size_t count, int, void *self) {
            const ssize_t got = Wire::receive(buffer, count, 0, &static_cast<Receive *>(self)->wire_);
            if (got < 0) wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
            return got;
        };
        callbacks.on_msg_recv_callback
            = [](wslay_event_context_ptr, const wslay_event_on_msg_recv_arg *message, void *self) {
                  static_cast<Receive *>(self)->sum_ += message->msg_length;
              };
        if (wslay_event_context_client_init(&context_, &callbacks, this) != 0) throw std::bad_alloc();
    }
    ~Receive() { wslay_event_context_free(context_); }
    Receive(const Receive &) = delete;
    Receive &operator=(const Receive &) = delete;

    int64_t run(uint64_t count)
    {
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) receive();
        return now_ns() - start;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        sum_ = 0;
        receive();
        Numbers numbers{out, capacity};
        numbers(static_cast<int64_t>(sum_));
        return numbers.count;
    }

private:
    void receive()
    {
        wire_.in = bytes_;
        wire_.in_count = count_;
        if (wslay_event_recv(context_) != 0) std::abort();
    }

    const uint8_t *bytes_;
    size_t count_;
    Wire wire_;
    uint64_t sum_ = 0;
    wslay_event_context_ptr context_;
};

const Entry parse(entry<Parse>("ws.parse", "wslay"));
const Entry build(entry<Build>("ws.build", "wslay"));
const Entry receive(entry<Receive>("ws.receive", "wslay, events"));

} // namespace
