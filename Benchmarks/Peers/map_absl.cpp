// absl::flat_hash_map.
// needs: libabsl-dev
// links: absl_raw_hash_set absl_hash absl_city absl_low_level_hash absl_hashtablez_sampler
#include <absl/container/flat_hash_map.h>

#include "map.hpp"

using namespace peer;

namespace {

const MapEntries<absl::flat_hash_map<uint64_t, Order *>, absl::flat_hash_map<VenueKey, Order *>>
    entries("absl flat_hash_map", APUS_PEER_LIBRARY);

} // namespace
