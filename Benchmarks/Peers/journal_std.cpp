// A record with its length and time through stdio's buffer into a file: no checksum.
#include <cstdio>

#include "peer.hpp"

using namespace peer;

namespace {

class Append {
public:
    explicit Append(const apus_peer_input &input)
        : payload_(static_cast<const char *>(input.bytes), input.count), file_(std::tmpfile())
    {
        if (file_ == nullptr) throw std::bad_alloc();
        std::setvbuf(file_, nullptr, _IOFBF, 1 << 16);
    }
    ~Append() { std::fclose(file_); }
    Append(const Append &) = delete;
    Append &operator=(const Append &) = delete;

    int64_t run(uint64_t count)
    {
        std::rewind(file_);
        const int64_t start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t head[2] = {payload_.size(), i};
            if (std::fwrite(head, sizeof head, 1, file_) != 1
                || std::fwrite(payload_.data(), payload_.size(), 1, file_) != 1)
                std::abort();
        }
        return now_ns() - start;
    }

    size_t check(int64_t *, size_t) { return 0; }

private:
    std::string payload_;
    std::FILE *file_;
};

const Entry append(entry<Append>("journal.append", "fwrite, 64 KiB buffer, no checksum", APUS_PEER_SYSTEM));

} // namespace
