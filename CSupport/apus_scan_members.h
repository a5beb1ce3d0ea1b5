/* apus_scan_members.h: the vector form of apus_members_scan, compiled once for each instruction set.
 *
 * The including file gives APUS_MEMBERS (the name), APUS_TARGET, APUS_KERNEL and the block_ functions. A block is 32
 * bytes of text. Values are looked at in the 32 bytes before their end: there every digit stands at a known distance
 * from the lowest one, and no read can pass the end of the text.
 */

APUS_KERNEL void decimal_set(apus_decimal *APUS_NONNULL out, uint64_t mantissa, int32_t exponent, bool negative)
{
    /* The exponent and the four bytes behind it in one store. */
    static_assert(offsetof(apus_decimal, exponent) == 8 && offsetof(apus_decimal, negative) == 15, "one word");
    const uint64_t rest = (uint32_t)exponent | (uint64_t)negative << 56;
    out->mantissa = mantissa;
    memcpy(&out->exponent, &rest, 8);
}

/* Checks the number in the last `count` bytes of a block, which starts at `value` with a digit: of the bytes that are
 * no digits (`odd`) there may be one only, a point with digits on both sides, and a leading 0 stands alone. Returns bits
 * that are set where this is not so. */
APUS_KERNEL uint32_t number_faults(const char *APUS_NONNULL value, apus_block block, uint32_t count,
                                   uint32_t *APUS_NONNULL odd)
{
    uint16_t start;
    memcpy(&start, value, 2);
    /* '0' and then a digit, or what is refused as none: of ':' to '?' none ends a value. */
    const uint32_t no_points = block_odd(block, count, odd);
    return (*odd & (*odd - 1)) | no_points | ((start & 0xF0FF) == 0x3030);
}

/* A number with an exponent of one or two digits, as Python writes small ones: `count` <= 32 bytes before `end`, the
 * first of them a digit. False if it is anything else. */
APUS_KERNEL bool number_with_exponent(const char *APUS_NONNULL end, uint32_t count, bool negative, bool is_wanted,
                                      apus_decimal *APUS_NONNULL out)
{
    /* Where the exponent's digits start, by the place of its sign. */
    const uint32_t left = end[-2] == '-' || end[-2] == '+' ? 1 : 2;
    if (count < left + 3) {
        return false;
    }
    const uint8_t low = (uint8_t)(end[-1] - '0');
    const uint8_t high = left == 2 ? (uint8_t)(end[-2] - '0') : 0;
    const char sign = end[-1 - (int)left];
    const char *const mark = end - 2 - left;
    if (low > 9 || high > 9 || (sign != '-' && sign != '+') || (*mark | 0x20) != 'e') {
        return false;
    }
    count -= left + 2;
    const apus_block block = block_load(mark - 32);
    uint32_t odd;
    if (number_faults(mark - count, block, count, &odd) != 0) {
        return false;
    }
    if (is_wanted) {
        const uint32_t decimals = block_decimals(odd);
        const uint32_t digits = count - (odd != 0);
        if (digits > 19) {
            return false;
        }
        const int32_t power = high * 10 + low;
        decimal_set(out, block_value(block, mark, digits, decimals),
                    (sign == '-' ? -power : power) - (int32_t)(decimals & 31), negative);
    }
    return true;
}

/* How long the value is, if it is true, false, null or []; else 0. `count` bytes stand before the first end, which is the
 * ']' of an array; at least one more can be read. */
APUS_KERNEL uint32_t literal_length(const char *APUS_NONNULL value, uint32_t count)
{
    uint32_t word;
    if (count == 1) {
        return value[0] == '[' && value[1] == ']' ? 2 : 0;
    }
    if (count != 4 && count != 5) {
        return 0;
    }
    memcpy(&word, value, 4);
    if (count == 4) {
        return word == 0x65757274 || word == 0x6C6C756E ? 4 : 0; /* true, null */
    }
    return word == 0x736C6166 && value[4] == 'e' ? 5 : 0; /* false */
}

APUS_TARGET bool APUS_MEMBERS(apus_json *APUS_NONNULL json, apus_json_shape *APUS_NONNULL shape,
                              apus_members *APUS_NONNULL members, apus_index *APUS_NONNULL index)
{
    /* A value stands at least 5 bytes behind the '{', and up to 33 bytes before its end are read; an exponent is up to
     * 4 bytes of them. */
    if (APUS_UNLIKELY(!apus_index_covers(index, json))) {
        return apus_members_portable(json, shape, members, index);
    }
    members->numbers = 0;
    members->texts = 0;
    members->nulls = 0;
    members->others = 0;
    const char *const base = index->base;
    const char *const last_key = json->end - 32; /* a block at a key can be read up to here */
    const char *at = json->at - 1;               /* the '{' stands where a later member has its comma */
    const char *const begin = at;
    const ptrdiff_t to_member = (char *)members->all - (char *)shape->lines;
    const uint16_t *ends = index->ends + index->next;
    while (*ends <= at - base) {
        ends++;
    }
    uint64_t found = 0; /* numbers, and texts in the upper half */
    size_t last = 0;    /* as in apus_json_walk */
    uint32_t but = 1;   /* the '{' is not compared with the comma */
    for (;;) {
        const size_t guess = shape->next[last];
        const apus_json_shape_line *const line = &shape->lines[guess];
        const char *value = NULL;
        if (APUS_LIKELY(at <= last_key && block_is_key(at, line, but))) {
            const char *const end = base + *ends;
            value = at + line->count;
            last = guess + 1;
            uint32_t count = (uint32_t)(end - value);
            if (APUS_LIKELY(count - 1 < 32)) {
                apus_member *const member = (void *)((char *)(uintptr_t)line + to_member);
                const apus_block block = block_load(end - 32);
                uint32_t sign = 0;
                if ((uint8_t)(*value - '0') > 9) {
                    if (*value == '"') {
                        const uint32_t lanes = UINT32_MAX << (-count & 31);
                        const uint32_t quotes = (lanes & (0 - lanes)) | (uint32_t)1 << 31;
                        const char *const quote = apus_opaque(end - 1);
                        if (APUS_LIKELY(block_specials(block, lanes) == quotes && *quote == '"' && count != 1)) {
                            found |= line->bit << 32;
                            member->value.bytes = value + 1;
                            member->value.count = count - 2;
                            member->value.has_escapes = false;
                            at = end;
                            ends++;
                            but = 0;
                            continue;
                        }
                        goto surprise;
                    }
                    if (*value != '-' || (uint8_t)(value[1] - '0') > 9) {
                        const uint32_t length = literal_length(value, count);
                        if (length == 0 || base + ends[length == 2] != value + length) {
                            goto surprise;
                        }
                        uint32_t *const set = *value == 'n' ? &members->nulls : &members->others;
                        *set |= (uint32_t)line->bit;
                        member->value.bytes = value;
                        member->value.count = length;
                        member->value.has_escapes = false;
                        at = value + length;
                        ends += 1 + (length == 2);
                        but = 0;
                        continue;
                    }
                    sign = 1;
                    count--;
                }
                uint32_t odd;
                if (APUS_LIKELY(number_faults(value + sign, block, count, &odd) == 0)) {
                    const uint32_t digits = count - (odd != 0);
                    if (!line->is_wanted || APUS_LIKELY(digits <= 19)) {
                        found |= line->bit;
                        at = end;
                        ends++;
                        but = 0;
                        if (line->is_wanted) {
                            const uint32_t decimals = block_decimals(odd);
                            decimal_set(&member->number, block_value(block, end, digits, decimals),
                                        -(int32_t)(decimals & 31), sign != 0);
                        }
                        continue;
                    }
                } else if (number_with_exponent(end, count, sign != 0, line->is_wanted, &member->number)) {
                    found |= line->bit;
                    at = end;
                    ends++;
                    but = 0;
                    continue;
                }
            }
        } else if (APUS_LIKELY(*at == '}')) {
            json->at = at + 1;
            break;
        }
    surprise:;
        apus_members_state state = {at, ends, (uint32_t)last, at != begin};
        const apus_members_next next = apus_members_surprise(json, shape, members, index, &state, value);
        ends = state.ends;
        if (next == APUS_MEMBERS_FAILED) {
            return false;
        }
        if (next == APUS_MEMBERS_DONE) {
            break;
        }
        at = state.at;
        last = state.last;
        but = 0;
    }
    index->next = (uint32_t)(ends - index->ends);
    members->numbers |= (uint32_t)found;
    members->texts |= (uint32_t)(found >> 32);
    return true;
}
