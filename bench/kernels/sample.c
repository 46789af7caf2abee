#include "bench/kernels/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <troupe/assert.h>

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

void trp_sample_add(struct trp_sample *sample, double value)
{
    TROUPE_ASSERT(sample->count < TRP_RUNS_MAX);
    sample->values[sample->count++] = value;
}

double trp_sample_median(const struct trp_sample *sample)
{
    double sorted[TRP_RUNS_MAX];
    uint32_t count = sample->count;

    if (count == 0) {
        return NAN;
    }
    memcpy(sorted, sample->values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare);
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double trp_sample_min(const struct trp_sample *sample)
{
    double least = NAN;
    for (uint32_t i = 0; i < sample->count; i++) {
        least = fmin(least, sample->values[i]);
    }
    return least;
}

double trp_sample_max(const struct trp_sample *sample)
{
    double most = NAN;
    for (uint32_t i = 0; i < sample->count; i++) {
        most = fmax(most, sample->values[i]);
    }
    return most;
}

double trp_sample_spread(const struct trp_sample *sample)
{
    return (trp_sample_max(sample) - trp_sample_min(sample)) / trp_sample_median(sample);
}

void trp_sample_divide(struct trp_sample *ratio,
                       const struct trp_sample *a,
                       const struct trp_sample *b)
{
    ratio->count = 0;
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        trp_sample_add(ratio, a->values[i] / b->values[i]);
    }
}

void trp_sample_report(struct trp_report *report, const char *name, const struct trp_sample *sample)
{
    trp_report_object(report, name);
    trp_report_real(report, "median", trp_sample_median(sample));
    trp_report_real(report, "min", trp_sample_min(sample));
    trp_report_real(report, "max", trp_sample_max(sample));
    trp_report_array(report, "runs");
    for (uint32_t i = 0; i < sample->count; i++) {
        trp_report_real(report, NULL, sample->values[i]);
    }
    trp_report_end(report);
    trp_report_end(report);
}
