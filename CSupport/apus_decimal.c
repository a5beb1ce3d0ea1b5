#include "apus_decimal.h"

/* The entry of one number, then of 10 and of 100 of them in a row. */
#define ENTRY(n)                                                                                                       \
    ((uint32_t)('0' + (n) / 100) | (uint32_t)('0' + (n) / 10 % 10) << 8 | (uint32_t)('0' + (n) % 10) << 16 |            \
     (uint32_t)(((n) < 10) + ((n) < 100)) << 27 |                                                                      \
     (uint32_t)((n) % 10 != 0 ? 3 : (n) % 100 != 0 ? 2 : (n) != 0 ? 1 : 0) << 29)
#define TEN(n)                                                                                                         \
    ENTRY(n), ENTRY(n + 1), ENTRY(n + 2), ENTRY(n + 3), ENTRY(n + 4), ENTRY(n + 5), ENTRY(n + 6), ENTRY(n + 7),         \
        ENTRY(n + 8), ENTRY(n + 9)
#define HUNDRED(n)                                                                                                     \
    TEN(n), TEN(n + 10), TEN(n + 20), TEN(n + 30), TEN(n + 40), TEN(n + 50), TEN(n + 60), TEN(n + 70), TEN(n + 80),     \
        TEN(n + 90)

const uint32_t apus_digit_triples[1000] = {
    HUNDRED(0),   HUNDRED(100), HUNDRED(200), HUNDRED(300), HUNDRED(400),
    HUNDRED(500), HUNDRED(600), HUNDRED(700), HUNDRED(800), HUNDRED(900),
};
