// std::unordered_map.
#include <unordered_map>

#include "map.hpp"

using namespace peer;

namespace {

const MapEntries<std::unordered_map<uint64_t, Order *>, std::unordered_map<VenueKey, Order *, VenueHash>>
    entries("std::unordered_map", APUS_PEER_SYSTEM);

} // namespace
