#include "apus_scan.h"

#include <errno.h>
#include <stdlib.h>

#include "apus_scan_kernels.h"

bool apus_scan_runs(apus_scan_level level)
{
    switch (level) {
    case APUS_SCAN_GENERAL:
    case APUS_SCAN_PORTABLE:
        return true;
    case APUS_SCAN_NEON:
#if defined(__aarch64__)
        return true; /* part of the architecture */
#else
        return false;
#endif
    case APUS_SCAN_AVX2:
#if defined(__x86_64__)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
#else
        return false;
#endif
    case APUS_SCAN_AVX512:
#if defined(__x86_64__)
        return apus_scan_runs(APUS_SCAN_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2");
#else
        return false;
#endif
    }
    return false;
}

apus_scan_level apus_scan_best(void)
{
    for (int level = APUS_SCAN_LEVELS - 1; level > APUS_SCAN_PORTABLE; level--) {
        if (apus_scan_runs((apus_scan_level)level)) {
            return (apus_scan_level)level;
        }
    }
    return APUS_SCAN_PORTABLE;
}

static void index_none(apus_index *index, const char *text, size_t count)
{
    (void)text;
    (void)count;
    apus_index_clear(index);
}

int apus_index_create(apus_scan_level level, apus_index **out)
{
    if (!apus_scan_runs(level)) {
        return -EINVAL;
    }
    apus_index *const index = aligned_alloc(APUS_CACHE_LINE, sizeof *index);
    if (index == NULL) {
        return -ENOMEM;
    }
    memset(index, 0, sizeof *index);
    index->build = index_none;
    index->levels = apus_levels_none;
    index->quoted = apus_levels_none;
    index->worded = apus_levels_none;
    index->scan = level == APUS_SCAN_GENERAL ? apus_members_general : apus_members_portable;
#if defined(__x86_64__)
    if (level == APUS_SCAN_AVX2) {
        index->build = apus_index_avx2;
        index->scan = apus_members_avx2;
        index->levels = apus_levels_avx2;
        index->quoted = apus_quoted_avx2;
        index->worded = apus_worded_avx2;
    } else if (level == APUS_SCAN_AVX512) {
        index->build = apus_index_avx512;
        index->scan = apus_members_avx512;
        index->levels = apus_levels_avx512;
        index->quoted = apus_quoted_avx512;
        index->worded = apus_worded_avx512;
    }
#elif defined(__aarch64__)
    if (level == APUS_SCAN_NEON) {
        index->build = apus_index_neon;
        index->scan = apus_members_neon;
        index->levels = apus_levels_neon;
        index->quoted = apus_quoted_neon;
        index->worded = apus_worded_neon;
    }
#endif
    *out = index;
    return 0;
}

void apus_index_destroy(apus_index *index)
{
    free(index);
}

int apus_members_create(uint32_t count, apus_members **out)
{
    if (count == 0) {
        return -EINVAL;
    }
    apus_members *const members = aligned_alloc(APUS_CACHE_LINE, count * sizeof *members);
    if (members == NULL) {
        return -ENOMEM;
    }
    memset(members, 0, count * sizeof *members);
    *out = members;
    return 0;
}

void apus_members_destroy(apus_members *members)
{
    free(members);
}

const uint8_t apus_lanes[64] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
};

void apus_level_grid_set(apus_level_grid *grid, const apus_step *price, const apus_step *size)
{
    memset(grid, 0, sizeof *grid);
    grid->price = *price;
    grid->size = *size;
    grid->price_most = price->step_e8 > 0 ? INT64_MAX / price->step_e8 : 0;
    grid->size_most = size->step_e8 > 0 ? INT64_MAX / size->step_e8 : 0;
    for (int decimals = 0; decimals <= 8; decimals++) {
        const int64_t unit_e8 = (int64_t)apus_pow10[8 - decimals];
        if (price->step_e8 > 0 && unit_e8 % price->step_e8 == 0) {
            grid->price_factor[decimals] = unit_e8 / price->step_e8;
        }
        if (size->step_e8 > 0 && unit_e8 % size->step_e8 == 0) {
            grid->size_factor[decimals] = unit_e8 / size->step_e8;
        }
    }
}

int32_t apus_levels_none(apus_json *json, apus_index *index, const apus_level_grid *grid, apus_level *out, uint32_t max)
{
    (void)json;
    (void)index;
    (void)grid;
    (void)out;
    (void)max;
    return -1;
}

/* The value behind a known key, of any kind and however written. */
static bool value_general(apus_json *json, apus_members *members, uint32_t key)
{
    const uint32_t bit = key < APUS_JSON_SHAPE_READ ? (uint32_t)1 << key : 0;
    apus_json_text *const value = &members->all[key].value;
    switch (apus_json_peek(json)) {
    case APUS_JSON_NUMBER:
        members->numbers |= bit;
        return apus_json_number(json, &members->all[key].number);
    case APUS_JSON_STRING:
        members->texts |= bit;
        return apus_json_string(json, value);
    case APUS_JSON_NULL:
        members->nulls |= bit;
        return apus_json_null(json);
    case APUS_JSON_BOOL:
    case APUS_JSON_ARRAY:
    case APUS_JSON_OBJECT:
        members->others |= bit;
        value->bytes = json->at;
        value->has_escapes = false;
        if (!apus_json_skip(json)) {
            return false;
        }
        value->count = (size_t)(json->at - value->bytes);
        return true;
    case APUS_JSON_NONE:
        break;
    }
    return apus_json_fail(json);
}

static void clear(apus_members *members)
{
    members->numbers = 0;
    members->texts = 0;
    members->nulls = 0;
    members->others = 0;
}

bool apus_members_general(apus_json *json, apus_json_shape *shape, apus_members *members, apus_index *index)
{
    (void)index;
    clear(members);
    apus_json_walk walk = {0};
    for (;;) {
        const int32_t key = apus_json_search_field(json, shape, &walk);
        if (key == APUS_JSON_FIELD_END) {
            return !json->failed;
        }
        if (key == APUS_JSON_FIELD_UNKNOWN) {
            apus_json_skip(json);
        } else {
            value_general(json, members, (uint32_t)key);
        }
    }
}

bool apus_members_portable(apus_json *json, apus_json_shape *shape, apus_members *members, apus_index *index)
{
    (void)index;
    clear(members);
    return apus_members_rest(json, shape, members, (apus_json_walk){0});
}

bool apus_members_rest(apus_json *json, apus_json_shape *shape, apus_members *members, apus_json_walk walk)
{
    for (;;) {
        const int32_t key = apus_json_next_field(json, shape, &walk);
        if (APUS_UNLIKELY(key < 0)) {
            if (key == APUS_JSON_FIELD_END) {
                return !json->failed;
            }
            apus_json_step(json);
            continue;
        }
        const uint32_t bit = key < APUS_JSON_SHAPE_READ ? (uint32_t)1 << key : 0;
        if (APUS_LIKELY(json->at < json->end)) {
            const char byte = *json->at;
            if (APUS_LIKELY((uint8_t)(byte - '0') < 10 || byte == '-')) {
                members->numbers |= bit;
                apus_json_number(json, &members->all[key].number);
                continue;
            }
            if (byte == '"') {
                members->texts |= bit;
                json->at++;
                apus_json_string_rest(json, &members->all[key].value);
                continue;
            }
        }
        value_general(json, members, (uint32_t)key);
    }
}

apus_members_next apus_members_surprise(apus_json *json, apus_json_shape *shape, apus_members *members,
                                        apus_index *index, apus_members_state *state, const char *value)
{
    apus_json cursor = *json;
    apus_json_walk walk = {state->last, state->started};
    int32_t key = (int32_t)state->last - 1;
    if (value != NULL) {
        /* The key has been passed: what follows the value is no first member, also if this was one. */
        cursor.at = value;
        walk.started = true;
    } else {
        cursor.at = state->at + !state->started;
        key = apus_json_lookup_field(&cursor, shape, &walk);
    }
    if (key == APUS_JSON_FIELD_UNKNOWN) {
        apus_json_step(&cursor);
    } else if (key != APUS_JSON_FIELD_END) {
        value_general(&cursor, members, (uint32_t)key);
    }
    if (cursor.failed) {
        apus_json_fail(json);
        return APUS_MEMBERS_FAILED;
    }
    json->at = cursor.at;
    if (key == APUS_JSON_FIELD_END) {
        return APUS_MEMBERS_DONE;
    }
    if (json->at >= index->limit) {
        state->ends = index->ends + index->count;
        return apus_members_rest(json, shape, members, walk) ? APUS_MEMBERS_DONE : APUS_MEMBERS_FAILED;
    }
    state->at = json->at;
    state->last = walk.last;
    state->started = true;
    while (*state->ends <= state->at - index->base) {
        state->ends++;
    }
    return APUS_MEMBERS_GO_ON;
}
