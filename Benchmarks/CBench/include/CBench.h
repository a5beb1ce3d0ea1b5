/* CBench.h: what the table runner and the peers share, and the measurements of the machine itself. */
#ifndef CBENCH_H
#define CBENCH_H

#include "apus_floor.h"
#include "apus_peer.h"
#include "apus_slot.h"

#endif
