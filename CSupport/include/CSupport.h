/* Umbrella header of the C module: what is not listed here does not exist for Swift. */
#ifndef CSUPPORT_H
#define CSUPPORT_H

#include "apus_base.h"
#include "apus_match.h"
#include "apus_order.h"
#include "apus_ws.h"
#include "apus_ws_endpoint.h"

#endif
