/* Umbrella header of the C module: what is not listed here does not exist for Swift. */
#ifndef CSUPPORT_H
#define CSUPPORT_H

#include "apus_base.h"
#include "apus_fill.h"
#include "apus_host.h"
#include "apus_book.h"
#include "apus_crc32c.h"
#include "apus_journal.h"
#include "apus_journal_reader.h"
#include "apus_decimal.h"
#include "apus_json.h"
#include "apus_match.h"
#include "apus_names.h"
#include "apus_order.h"
#include "apus_process.h"
#include "apus_realtime.h"
#include "apus_repeat.h"
#include "apus_scan.h"
#include "apus_slab.h"
#include "apus_bucket.h"
#include "apus_clock.h"
#include "apus_cpu.h"
#include "apus_histogram.h"
#include "apus_spsc.h"
#include "apus_ws.h"
#include "apus_ws_endpoint.h"
#include "apus_crypto.h"
#include "apus_driver.h"
#include "apus_tls.h"
#include "apus_telemetry.h"

#endif
