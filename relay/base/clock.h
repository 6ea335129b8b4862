/*
 * clock.h - the two clocks. Any thread.
 */
#ifndef RELAY_BASE_CLOCK_H
#define RELAY_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic milliseconds: for intervals, deadlines and back-off. */
int64_t clock_ms(void);

/* Milliseconds since the epoch: for what people and records see. */
int64_t clock_wall_ms(void);

#endif
