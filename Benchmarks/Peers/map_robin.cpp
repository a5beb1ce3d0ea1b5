// tsl::robin_map, with a hash that mixes: its default for integers is the identity.
// needs: robin-map-dev
#include <tsl/robin_map.h>

#include "map.hpp"

using namespace peer;

namespace {

struct Mix {
    size_t operator()(uint64_t id) const
    {
        const uint64_t hash = id * 0xD6E8FEB86659FD93u;
        return hash ^ hash >> 32;
    }
};

const MapEntries<tsl::robin_map<uint64_t, Order *, Mix>, tsl::robin_map<VenueKey, Order *, VenueHash>>
    entries("tsl robin_map", APUS_PEER_LIBRARY);

} // namespace
