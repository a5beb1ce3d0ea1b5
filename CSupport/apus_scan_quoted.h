/* apus_scan_quoted.h: apus_quoted_levels_scan number by number, compiled once for each instruction set that has no better
 * way.
 *
 * The including file gives APUS_QUOTED (the name), and includes apus_scan_levels.h first. The ends of all strings are
 * known from the index, so the numbers do not wait for one another.
 */

APUS_TARGET int32_t APUS_QUOTED(apus_json *APUS_NONNULL json, apus_index *APUS_NONNULL index,
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
        if (at[1] != '[' || at[2] != '"') {
            return -1;
        }
        at += 3; /* the first digit of a level */
        for (;;) {
            const char *const p = base + ends[0]; /* the ',' between price and size */
            const char *const r = base + ends[1]; /* the ']' behind the size */
            /* The seven bytes from `r` on, too. */
            if (APUS_UNLIKELY(last - ends < 3 || r + 7 > json->end || (uint32_t)count == max || p - at < 2 || r - p < 4)) {
                return -1;
            }
            uint64_t behind; /* from the last quote on */
            memcpy(&behind, r - 1, 8);
            uint64_t price = 0, size = 0;
            uint32_t price_decimals = 0, size_decimals = 0;
            if (APUS_UNLIKELY(*p != ',' || p[-1] != '"' || p[1] != '"' ||
                              !level_number(at, p - 1, true, &price, &price_decimals) ||
                              !level_number(p + 2, r - 1, true, &size, &size_decimals) ||
                              !apus_level_count(price, price_decimals, grid->price_factor, &grid->price, &out[count].ticks) ||
                              !apus_level_count(size, size_decimals, grid->size_factor, &grid->size, &out[count].lots) ||
                              out[count].ticks == 0 || out[count].ticks > grid->price_most ||
                              out[count].lots > grid->size_most)) {
                return -1;
            }
            count++;
            ends += 3;
            if (APUS_LIKELY((behind & APUS_QUOTED_NEXT_MASK) == APUS_QUOTED_NEXT)) {
                at = r + 4;
            } else if ((behind & APUS_QUOTED_END_MASK) == APUS_QUOTED_END) {
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
