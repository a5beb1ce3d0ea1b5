#include "apus_stages.h"

#include "apus_clock.h"

void apus_stages_start(apus_stages *stages, int64_t now_ns)
{
    *stages = (apus_stages){.is_on = 1, .turns_left = APUS_TELEMETRY_STAGE_INTERVAL, .last_ns = now_ns};
}

void apus_stages_note(apus_stages *stages, uint32_t stage, int64_t now_ns)
{
    APUS_ASSERT(stage < APUS_TELEMETRY_STAGES);
    stages->spent_ns[stage] += now_ns - stages->last_ns;
    stages->last_ns = now_ns;
}

__attribute__((preserve_most)) void apus_stages_note_now(apus_stages *stages, uint32_t stage)
{
    apus_stages_note(stages, stage, apus_clock_now_ns());
}
