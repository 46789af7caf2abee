#ifndef BENCH_REPORT_JSON_REPORT_H
#define BENCH_REPORT_JSON_REPORT_H

/*
 * Writes one JSON document to a file, indented, member by member. Errors of the file are collected
 * and told by close.
 *
 *     struct trp_report report;
 *     if (trp_report_open(&report, path)) {
 *         trp_report_object(&report, NULL);
 *         trp_report_number(&report, "workers", 2);
 *         trp_report_end(&report);
 *         ok = trp_report_close(&report);
 *     }
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TRP_REPORT_DEPTH_MAX 16u

struct trp_machine;

struct trp_report {
    FILE *file;
    const char *path;
    uint32_t depth;
    bool has_members[TRP_REPORT_DEPTH_MAX];
    char closers[TRP_REPORT_DEPTH_MAX];
};

/* False after printing why. */
bool trp_report_open(struct trp_report *report, const char *path);
/* False after printing why: the document is not there or not whole. */
bool trp_report_close(struct trp_report *report);

/* name: NULL inside an array and for the root. Texts must be UTF-8. */
void trp_report_object(struct trp_report *report, const char *name);
void trp_report_array(struct trp_report *report, const char *name);
void trp_report_end(struct trp_report *report);
void trp_report_string(struct trp_report *report, const char *name, const char *value);
void trp_report_number(struct trp_report *report, const char *name, uint64_t value);
void trp_report_real(struct trp_report *report, const char *name, double value); /* NaN: null */
void trp_report_bool(struct trp_report *report, const char *name, bool value);

/* "tool", "version" and "machine". */
void trp_report_header(struct trp_report *report, const struct trp_machine *machine);

#endif
