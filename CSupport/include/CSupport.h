/* Umbrella header of the C module: what is not listed here does not exist for Swift. */
#ifndef CSUPPORT_H
#define CSUPPORT_H

#include "apus_base.h"
#include "apus_crc32c.h"
#include "apus_journal.h"
#include "apus_journal_reader.h"
#include "apus_match.h"
#include "apus_order.h"
#include "apus_telemetry.h"

#endif
