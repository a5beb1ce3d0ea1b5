/* apus_repeat.h: an object that comes again and again with other numbers, read by what has changed.
 *
 * A feed writes the same members in the same order each time; most of its bytes are those of the message before. What is
 * learned of a text that was read and found right (apus_repeat_learn): the text, which of its bytes are digits of
 * numbers, and where the numbers stand that somebody wants. A later text is then compared with it, 64 bytes at a time.
 *
 * - It may differ where a digit became another digit, and no number begins with a 0 that it did not begin with. Such a
 *   text is right JSON because the learned one was, and only wanted numbers that differ are converted.
 * - Where a number became longer or shorter, or is written in another way, that number is read by the general reader,
 *   and the comparison goes on behind it.
 * - Whatever else differs is none of this reader's business: the text is to be read as if nothing had been learned.
 *
 * Bounds:  reads the bytes of the cursor, from its start to its end, and nothing else.
 * Thread:  one owner. Nothing allocates after apus_repeat_create.
 */
#ifndef APUS_REPEAT_H
#define APUS_REPEAT_H

#include "apus_scan.h"

typedef struct apus_repeat apus_repeat;

/* What a text is, beside the learned one. */
typedef enum APUS_CLOSED_ENUM APUS_NAME(RepeatOutcome) apus_repeat_outcome {
    APUS_REPEAT_NONE APUS_NAME(none) = 0, /* something else, or nothing was learned */
    APUS_REPEAT_MOVED APUS_NAME(moved),   /* numbers have other lengths; the learned text stays as it was */
    APUS_REPEAT_SAME APUS_NAME(same),     /* only digits differ; this is the learned text from now on */
} apus_repeat_outcome;

typedef apus_repeat_outcome apus_repeat_matcher(apus_repeat *APUS_NONNULL repeat, const apus_json *APUS_NONNULL json,
                                                apus_members *APUS_NONNULL members, uint32_t *APUS_NONNULL changed);

#define APUS_REPEAT_BYTES 1024 /* of a text that can be learned */
#define APUS_REPEAT_BLOCKS (APUS_REPEAT_BYTES / 64)
#define APUS_REPEAT_VALUES 32
/* Numbers of another length in one text; with more of them the general way is as fast. */
#define APUS_REPEAT_MOVES 6
/* What a learned text costs is weighed: a number of another length, a text that is none, against texts that only differ in
 * digits. At this weight another one is learned. */
#define APUS_REPEAT_TIRED 64
#define APUS_REPEAT_MISS 4
#define APUS_REPEAT_GAIN 2

/* A number of the learned text: its bytes, from the first to the one behind the last. */
typedef struct apus_repeat_value {
    uint16_t start;
    uint16_t end;
    int8_t key;       /* in the shape; -1 if nobody wants it */
    bool is_plain;    /* up to 19 digits and a point: the two below hold */
    uint8_t digits;
    uint8_t decimals; /* 32 without a point */
} apus_repeat_value;

struct apus_repeat {
    alignas(APUS_CACHE_LINE) apus_repeat_matcher *APUS_NONNULL match;
    uint32_t count;             /* bytes learned, >= 64; 0: nothing */
    uint32_t blocks;            /* of 64 bytes; the last one ends with the text */
    uint32_t values_count;
    uint32_t wanted_count;
    uint32_t weight;            /* see APUS_REPEAT_TIRED */
    apus_repeat_value values[APUS_REPEAT_VALUES]; /* as they stand in the text */
    uint8_t wanted[APUS_REPEAT_VALUES];           /* positions in `values` */
    uint64_t digits[APUS_REPEAT_BLOCKS]; /* bit i: byte i of the block is a digit of a number */
    uint64_t heads[APUS_REPEAT_BLOCKS];  /* the first digit of several: 0 is not allowed there */
    char before[64];                     /* blocks of a number may reach before the text */
    alignas(APUS_CACHE_LINE) char text[APUS_REPEAT_BYTES];
};

/* The kernels of `level`; at those without any nothing is learned. 0 or -ENOMEM. Cold. */
int apus_repeat_create(apus_scan_level level, apus_repeat *APUS_NULLABLE *APUS_NONNULL out);
void apus_repeat_destroy(apus_repeat *APUS_NULLABLE repeat);

/* Learns the text between the cursor and its end. It begins with the '{' of an object whose keys are those of `shape`, and
 * was read to its last byte without a fault. Learns nothing if the object has one of the keys twice, or the text is
 * too long. Costs about as much as reading the object three times. */
void apus_repeat_learn(apus_repeat *APUS_NONNULL repeat, const apus_json *APUS_NONNULL json,
                       apus_json_shape *APUS_NONNULL shape);

/* Whether it pays to learn a text that was none: to be asked for each of them. A form that comes once does not displace
 * what was learned. */
bool apus_repeat_is_due(apus_repeat *APUS_NONNULL repeat);

void apus_repeat_forget(apus_repeat *APUS_NONNULL repeat);

/* Compares the text between the cursor and its end with the learned one. Sets bit i of `changed` and stores the number in
 * `members` where the number of key i is wanted and differs from that of the learned text. */
APUS_HOT apus_repeat_outcome apus_repeat_match(apus_repeat *APUS_NONNULL repeat, const apus_json *APUS_NONNULL json,
                                               apus_members *APUS_NONNULL members, uint32_t *APUS_NONNULL changed)
{
    return repeat->match(repeat, json, members, changed);
}

#endif
