/* Umbrella header of the C module: what is not listed here does not exist for Swift. */
#ifndef CSUPPORT_H
#define CSUPPORT_H

#include "apus_base.h"
#include "apus_decimal.h"
#include "apus_json.h"
#include "apus_match.h"
#include "apus_names.h"
#include "apus_order.h"

#endif
