// Token buckets as they are commonly written: a balance of tokens and a time, behind a mutex; the same without.
#include <algorithm>
#include <mutex>

#include "peer.hpp"

using namespace peer;

namespace {

class Balance {
public:
    Balance(double capacity, double tokens_per_ns) : capacity_(capacity), rate_(tokens_per_ns), tokens_(capacity) {}

    bool take(int64_t now)
    {
        if (now > last_) {
            tokens_ = std::min(capacity_, tokens_ + static_cast<double>(now - last_) * rate_);
            last_ = now;
        }
        if (tokens_ < 1) return false;
        tokens_ -= 1;
        return true;
    }

private:
    double capacity_, rate_, tokens_;
    int64_t last_ = 0;
};

class LockedBalance {
public:
    LockedBalance(double capacity, double tokens_per_ns) : balance_(capacity, tokens_per_ns) {}

    bool take(int64_t now)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        return balance_.take(now);
    }

private:
    std::mutex mutex_;
    Balance balance_;
};

template <class Bucket> class Alone {
public:
    explicit Alone(const apus_peer_input &) : bucket_(1000, 1) {}

    int64_t run(uint64_t count)
    {
        uint64_t granted = 0;
        const int64_t first = now_;
        const int64_t start = now_ns();
        for (int64_t now = first; now < first + static_cast<int64_t>(count); now++) granted += bucket_.take(now);
        const int64_t time = now_ns() - start;
        now_ += static_cast<int64_t>(count);
        if (granted != count) std::abort();
        return time;
    }

    size_t check(int64_t *out, size_t capacity)
    {
        Bucket bucket(1000, 1);
        int64_t granted = 0;
        for (int64_t take = 0; take < 5000; take++) granted += bucket.take(take / 2);
        Numbers numbers{out, capacity};
        numbers(granted);
        return numbers.count;
    }

private:
    Bucket bucket_;
    int64_t now_ = 0;
};

class Contended {
public:
    explicit Contended(const apus_peer_input &input) : core_(input.other_core) {}

    int64_t run(uint64_t count)
    {
        LockedBalance bucket(16e6, 1);
        std::atomic<int> there{0}, go{0};
        Partner partner(core_, [&] {
            there.store(1, std::memory_order_release);
            while (go.load(std::memory_order_acquire) == 0) {
            }
            take(bucket, count);
        });
        while (there.load(std::memory_order_acquire) == 0) {
        }
        go.store(1, std::memory_order_release);
        const int64_t start = now_ns();
        take(bucket, count);
        const int64_t time = now_ns() - start;
        partner.join();
        return time;
    }

    size_t check(int64_t *, size_t) { return 0; }

private:
    static void take(LockedBalance &bucket, uint64_t count)
    {
        for (uint64_t step = 0; step < count; step++) {
            if (!bucket.take(static_cast<int64_t>(4 * step))) std::abort();
        }
    }

    int32_t core_;
};

const Entry single(entry<Alone<Balance>>("bucket.single", "balance of tokens", APUS_PEER_TEXTBOOK));
const Entry shared(entry<Alone<LockedBalance>>("bucket.shared", "balance of tokens, std::mutex", APUS_PEER_TEXTBOOK));
const Entry contended(entry<Contended>("bucket.contended", "balance of tokens, std::mutex", APUS_PEER_TEXTBOOK));

} // namespace
