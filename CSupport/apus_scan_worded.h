/* apus_scan_worded.h: apus_worded_levels_scan number by number, compiled once for each instruction set that has no better
 * way.
 *
 * The including file gives APUS_WORDED (the name), and includes apus_scan_levels.h first.
 */

APUS_TARGET int32_t APUS_WORDED(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
                                const apus_level_grid *APUS_NONNULL grid, apus_level *APUS_NONNULL out, uint32_t max)
{
    if (APUS_UNLIKELY(!apus_index_covers(index, json) || json->end - json->at < 4 || *json->at != '[')) {
        return -1;
    }
    const char *const base = index->base;
    const char *at = json->at;
    const uint16_t *ends = index->ends + index->next;
    const uint16_t *const last = index->ends + index->count;
    while (*ends <= at - base) {
        ends++;
    }
    int32_t count = 0;
    if (at[1] == ']') {
        at += 2;
        ends++;
    } else {
        if (at[1] != '[') {
            return -1;
        }
        at += 2; /* the word of a level */
        for (;;) {
            const char *const p = base + ends[0];
            const char *const q = base + ends[1];
            const char *const r = base + ends[2];
            /* The four bytes from the level's end on, too. */
            if (APUS_UNLIKELY(last - ends < 4 || r + 4 > json->end || (uint32_t)count == max || *p != ',' ||
                              *q != ',' || !apus_is_level_word(at, p))) {
                return -1;
            }
            uint32_t behind;
            memcpy(&behind, r, 4);
            uint64_t price = 0, size = 0;
            uint32_t price_decimals = 0, size_decimals = 0;
            if (APUS_UNLIKELY(!level_number(p + 1, q, true, &price, &price_decimals) ||
                              !level_number(q + 1, r, true, &size, &size_decimals) ||
                              !apus_level_count(price, price_decimals, grid->price_factor, &grid->price, &out[count].ticks) ||
                              !apus_level_count(size, size_decimals, grid->size_factor, &grid->size, &out[count].lots) ||
                              out[count].ticks == 0 || out[count].ticks > grid->price_most ||
                              out[count].lots > grid->size_most)) {
                return -1;
            }
            count++;
            ends += 4;
            if (APUS_LIKELY((behind & 0xFFFFFF) == 0x5B2C5D)) { /* ],[ */
                at = r + 3;
            } else if ((behind & 0xFFFF) == 0x5D5D) { /* ]] */
                at = r + 2;
                break;
            } else {
                return -1;
            }
        }
    }
    index->next = (uint32_t)(ends - index->ends);
    json->at = at;
    return count;
}
