#include "peer.hpp"

static std::vector<apus_peer> &peers()
{
    static std::vector<apus_peer> list;
    return list;
}

peer::Entry::Entry(const apus_peer &peer) { peers().push_back(peer); }

extern "C" const apus_peer *apus_peer_at(size_t index)
{
    return index < peers().size() ? &peers()[index] : nullptr;
}
