#ifndef BENCH_LOAD_HIST_EXPORT_H
#define BENCH_LOAD_HIST_EXPORT_H

/*
 * The exchange format of HdrHistogram, "V2 compressed", in base64: what its tools and plotters read
 * and what can be merged without loss.
 *
 * Layout, numbers big-endian: cookie 0x1c849314, bytes that follow, zlib stream of { cookie
 * 0x1c849313, payload bytes, 0 (normalising offset), digits, lowest u64, highest u64, ratio 1.0 as
 * a double } and the payload: ZigZag LEB128 numbers, one per bucket, a negative one for a run of
 * empty buckets.
 */

#include "bench/load/hist.h"

/* A cstr that the caller frees; NULL when memory is short. Cost: about 1 ms. */
char *trp_hist_export_base64(const struct trp_hist *hist);

#endif
