#include "bench/report/json_report.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <troupe/assert.h>

#include "bench/report/machine.h"

bool trp_report_open(struct trp_report *report, const char *path)
{
    memset(report, 0, sizeof(*report));
    report->path = path;
    report->file = fopen(path, "we");
    if (report->file == NULL) {
        fprintf(stderr, "troupe-bench: cannot write %s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

bool trp_report_close(struct trp_report *report)
{
    TROUPE_ASSERT(report->depth == 0);
    fputc('\n', report->file);
    bool is_bad = fflush(report->file) != 0 || ferror(report->file) != 0;
    if (fclose(report->file) != 0) {
        is_bad = true;
    }
    report->file = NULL;
    if (is_bad) {
        fprintf(stderr, "troupe-bench: cannot write %s: %s\n", report->path, strerror(errno));
    }
    return !is_bad;
}

static void put_text(struct trp_report *report, const char *text)
{
    fputc('"', report->file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fprintf(report->file, "\\%c", c);
        } else if (c < 0x20) {
            fprintf(report->file, "\\u%04x", c);
        } else {
            fputc(c, report->file);
        }
    }
    fputc('"', report->file);
}

/* Comma, new line, indentation and the name. */
static void begin_member(struct trp_report *report, const char *name)
{
    if (report->depth > 0) {
        if (report->has_members[report->depth - 1]) {
            fputc(',', report->file);
        }
        report->has_members[report->depth - 1] = true;
        fprintf(report->file, "\n%*s", (int)(2 * report->depth), "");
    }
    if (name != NULL) {
        put_text(report, name);
        fputs(": ", report->file);
    }
}

static void open_container(struct trp_report *report, const char *name, char opener, char closer)
{
    begin_member(report, name);
    TROUPE_ASSERT(report->depth < TRP_REPORT_DEPTH_MAX);
    report->has_members[report->depth] = false;
    report->closers[report->depth++] = closer;
    fputc(opener, report->file);
}

void trp_report_object(struct trp_report *report, const char *name)
{
    open_container(report, name, '{', '}');
}

void trp_report_array(struct trp_report *report, const char *name)
{
    open_container(report, name, '[', ']');
}

void trp_report_end(struct trp_report *report)
{
    TROUPE_ASSERT(report->depth > 0);
    report->depth--;
    if (report->has_members[report->depth]) {
        fprintf(report->file, "\n%*s", (int)(2 * report->depth), "");
    }
    fputc(report->closers[report->depth], report->file);
}

void trp_report_string(struct trp_report *report, const char *name, const char *value)
{
    begin_member(report, name);
    put_text(report, value);
}

void trp_report_number(struct trp_report *report, const char *name, uint64_t value)
{
    begin_member(report, name);
    fprintf(report->file, "%llu", (unsigned long long)value);
}

void trp_report_real(struct trp_report *report, const char *name, double value)
{
    begin_member(report, name);
    if (isfinite(value)) {
        fprintf(report->file, "%.9g", value);
    } else {
        fputs("null", report->file);
    }
}

void trp_report_bool(struct trp_report *report, const char *name, bool value)
{
    begin_member(report, name);
    fputs(value ? "true" : "false", report->file);
}

void trp_report_header(struct trp_report *report, const struct trp_machine *machine)
{
    trp_report_string(report, "tool", "troupe-bench");
    trp_report_string(report, "version", TROUPE_VERSION);
    trp_report_object(report, "machine");
    trp_report_string(report, "cpu_model", machine->cpu_model);
    trp_report_number(report, "cpus", machine->cpus);
    trp_report_number(report, "cpus_usable", machine->usable);
    trp_report_string(report, "affinity", machine->affinity);
    trp_report_string(report, "kernel", machine->kernel);
    trp_report_end(report);
}
