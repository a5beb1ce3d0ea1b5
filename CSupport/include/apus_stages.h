/* apus_stages.h: takes the time of a tick apart into its stages, in one turn of a lane out of several.
 *
 * Threads:   one, the lane's.
 * Hot path:  in a turn that is not timed, the end of a stage is one look at a flag. The function behind it keeps the
 *            registers of its caller, so that a hot path with many such ends need not move its values out of the way.
 */
#ifndef APUS_STAGES_H
#define APUS_STAGES_H

#include "apus_base.h"
#include "apus_telemetry.h"

typedef struct APUS_NAME(StageClock) apus_stages {
    uint32_t is_on;      /* this turn is timed */
    uint32_t turns_left; /* until one is */
    int64_t last_ns;     /* the end of the last stage */
    int64_t spent_ns[APUS_TELEMETRY_STAGES];
} apus_stages;

/* A turn begins in which something came in, and it is timed. Everything before is forgotten. */
void apus_stages_start(apus_stages *APUS_NONNULL stages, int64_t now_ns);

/* What has passed since the last end belongs to `stage` < APUS_TELEMETRY_STAGES. */
void apus_stages_note(apus_stages *APUS_NONNULL stages, uint32_t stage, int64_t now_ns);

/* The same, now. */
__attribute__((preserve_most)) void apus_stages_note_now(apus_stages *APUS_NONNULL stages, uint32_t stage);

APUS_HOT void apus_stages_end(apus_stages *APUS_NONNULL stages, uint32_t stage)
{
    if (APUS_UNLIKELY(stages->is_on != 0)) {
        apus_stages_note_now(stages, stage);
    }
}

#endif
