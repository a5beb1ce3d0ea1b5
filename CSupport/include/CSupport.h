/* Umbrella header of the C module: what is not listed here does not exist for Swift. */
#ifndef CSUPPORT_H
#define CSUPPORT_H

#include "apus_base.h"
#include "apus_crypto.h"
#include "apus_driver.h"
#include "apus_match.h"
#include "apus_order.h"
#include "apus_tls.h"

#endif
