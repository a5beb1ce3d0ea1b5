// A book in absl::btree_map.
// needs: libabsl-dev
#include <absl/container/btree_map.h>

#include "book.hpp"

using namespace peer;

namespace {

const BookEntries<MapSide<absl::btree_map<int64_t, int64_t>>> entries("absl btree_map", APUS_PEER_LIBRARY);

} // namespace
