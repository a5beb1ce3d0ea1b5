/* apus_repeat_match.h: the matcher of apus_repeat.h, compiled once for each instruction set.
 *
 * The including file gives APUS_REPEAT (the name), what apus_scan_members.h needs, and
 * - block_faults: bits of 64 bytes that differ from the learned ones and may not;
 * - block_differs: bits of the 32 bytes that differ;
 * - block_copy: 64 bytes from one place to another.
 */

/* The wanted numbers from `repeat->wanted[first]` to the last before value `limit`, `shift` bytes behind where they were
 * learned. Returns the first one that was not looked at; UINT32_MAX if the text is another. */
APUS_KERNEL uint32_t repeat_take(const apus_repeat *APUS_NONNULL repeat, const apus_json *APUS_NONNULL json,
                                 ptrdiff_t shift, uint32_t first, uint32_t limit, apus_members *APUS_NONNULL members,
                                 uint32_t *APUS_NONNULL changed)
{
    /* First which of them differ, without a branch for each, then those one by one. */
    uint32_t different = 0;
    uint32_t w = first;
    for (; w < repeat->wanted_count && repeat->wanted[w] < limit; w++) {
        const apus_repeat_value *const value = &repeat->values[repeat->wanted[w]];
        const uint32_t count = (uint32_t)value->end - value->start;
        const uint32_t lanes = count < 32 ? UINT32_MAX << (32 - count) : UINT32_MAX;
        const uint32_t differs = block_differs(repeat->text + value->end - 32, json->at + value->end + shift - 32);
        different |= (uint32_t)((differs & lanes) != 0 || count > 32) << w;
    }
    while (different != 0) {
        const apus_repeat_value *const value = &repeat->values[repeat->wanted[__builtin_ctz(different)]];
        different &= different - 1;
        const char *const end = json->at + value->end + shift;
        apus_decimal *const number = &members->all[value->key].number;
        *changed |= (uint32_t)1 << value->key;
        if (APUS_LIKELY(value->is_plain)) {
            decimal_set(number, block_value(block_load(end - 32), end, value->digits, value->decimals),
                        -(int32_t)(value->decimals & 31), false);
        } else if (apus_decimal_scan(json->at + value->start + shift, json->end, number) != end) {
            return UINT32_MAX;
        }
    }
    return w;
}

/* The same with numbers that have other lengths. */
APUS_TARGET static __attribute__((noinline)) apus_repeat_outcome repeat_moved(
    apus_repeat *APUS_NONNULL repeat, const apus_json *APUS_NONNULL json, apus_members *APUS_NONNULL members,
    uint32_t *APUS_NONNULL changed)
{
    ptrdiff_t shift = 0;
    uint32_t next = 0;   /* the first number that was not read anew */
    uint32_t taken = 0;  /* as `first` of repeat_take */
    uint32_t resume = 0; /* bytes of the learned text before it are done */
    uint32_t moves = 0;
    for (uint32_t b = 0; b < repeat->blocks; b++) {
        const uint32_t offset = apus_repeat_offset(repeat, b);
        for (;;) {
            const char *const at = json->at + offset + shift;
            if (json->end - at < 64 || at < json->start) {
                return APUS_REPEAT_NONE;
            }
            uint64_t faults = block_faults(repeat->text + offset, at, repeat->digits[b], repeat->heads[b]);
            if (resume > offset) {
                faults = resume - offset < 64 ? faults & UINT64_MAX << (resume - offset) : 0;
            }
            if (faults == 0) {
                break;
            }
            const uint32_t place = offset + (uint32_t)__builtin_ctzll(faults);
            while (next < repeat->values_count && repeat->values[next].end < place) {
                next++;
            }
            if (next == repeat->values_count || repeat->values[next].start > place || ++moves > APUS_REPEAT_MOVES) {
                return APUS_REPEAT_NONE;
            }
            taken = repeat_take(repeat, json, shift, taken, next, members, changed);
            if (taken == UINT32_MAX) {
                return APUS_REPEAT_NONE;
            }
            const apus_repeat_value *const value = &repeat->values[next];
            const char *const start = json->at + value->start + shift;
            apus_decimal number;
            const char *const end = apus_decimal_scan(start, json->end, &number);
            if (end == NULL) {
                return APUS_REPEAT_NONE;
            }
            if (value->key >= 0) {
                members->all[value->key].number = number;
                *changed |= (uint32_t)1 << value->key;
                taken++;
            }
            shift += (end - start) - (value->end - value->start);
            resume = value->end;
            next++;
        }
    }
    if (json->end - json->at != (ptrdiff_t)repeat->count + shift ||
        repeat_take(repeat, json, shift, taken, UINT32_MAX, members, changed) == UINT32_MAX) {
        return APUS_REPEAT_NONE;
    }
    repeat->weight += moves;
    return repeat->weight > APUS_REPEAT_TIRED ? APUS_REPEAT_NONE : APUS_REPEAT_MOVED;
}

APUS_TARGET apus_repeat_outcome APUS_REPEAT(apus_repeat *APUS_NONNULL repeat, const apus_json *APUS_NONNULL json,
                                            apus_members *APUS_NONNULL members, uint32_t *APUS_NONNULL changed)
{
    const uint32_t count = repeat->count;
    *changed = 0;
    /* The block of a number begins up to 33 bytes before the end of the number. */
    if (count == 0 || json->at - json->start < 40) {
        return APUS_REPEAT_NONE;
    }
    if (json->end - json->at != (ptrdiff_t)count) {
        return repeat_moved(repeat, json, members, changed);
    }
    const char *const text = json->at;
    const uint32_t last = repeat->blocks - 1;
    uint64_t faults = block_faults(repeat->text + count - 64, text + count - 64, repeat->digits[last], repeat->heads[last]);
    for (uint32_t b = 0; b < last; b++) {
        faults |= block_faults(repeat->text + b * 64, text + b * 64, repeat->digits[b], repeat->heads[b]);
    }
    if (APUS_UNLIKELY(faults != 0)) {
        return repeat_moved(repeat, json, members, changed);
    }
    if (APUS_UNLIKELY(repeat_take(repeat, json, 0, 0, UINT32_MAX, members, changed) == UINT32_MAX)) {
        return APUS_REPEAT_NONE;
    }
    if (*changed != 0) {
        for (uint32_t b = 0; b < last; b++) {
            block_copy(repeat->text + b * 64, text + b * 64);
        }
        block_copy(repeat->text + count - 64, text + count - 64);
    }
    repeat->weight = repeat->weight > APUS_REPEAT_GAIN ? repeat->weight - APUS_REPEAT_GAIN : 0;
    return APUS_REPEAT_SAME;
}
