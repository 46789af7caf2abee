#include "bench/peers/table.h"

#include <math.h>

#include "bench/report/json_report.h"

static const char *const names[TRP_CONTESTANTS] = {
    [TRP_CONTESTANT_OURS] = "ours",   [TRP_CONTESTANT_SPREAD] = "ours spread",
    [TRP_CONTESTANT_CAF] = "caf",     [TRP_CONTESTANT_ERLANG] = "erlang",
    [TRP_CONTESTANT_GO] = "go",       [TRP_CONTESTANT_NAIVE] = "naive",
    [TRP_CONTESTANT_FLOOR] = "floor",
};

static bool is_packaged(enum trp_contestant who)
{
    return who >= TRP_CONTESTANT_CAF && who <= TRP_CONTESTANT_NAIVE;
}

const char *trp_contestant_name(enum trp_contestant who)
{
    return names[who];
}

double trp_peer_median(const struct trp_peer_row *row, enum trp_contestant who)
{
    const struct trp_peer_cell *cell = &row->cells[who];
    return cell->note[0] != '\0' ? NAN : trp_sample_median(&cell->rate);
}

double trp_peer_best(const struct trp_peer_row *row, enum trp_contestant *who)
{
    double best = NAN;
    for (int i = 0; i < TRP_CONTESTANTS; i++) {
        enum trp_contestant one = (enum trp_contestant)i;
        double median = is_packaged(one) ? trp_peer_median(row, one) : NAN;
        if (isfinite(median) && !(best >= median)) {
            best = median;
            *who = one;
        }
    }
    return best;
}

double trp_peer_ratio(double a, double b)
{
    return isfinite(a) && isfinite(b) && a > 0 && b > 0 ? a / b : NAN;
}

double trp_peer_against(const struct trp_peer_row *row, const struct trp_peer_table *one_thread)
{
    for (uint32_t i = 0; one_thread != NULL && i < one_thread->count; i++) {
        if (one_thread->rows[i].kernel == row->kernel) {
            return trp_peer_ratio(trp_peer_median(row, TRP_CONTESTANT_OURS),
                                  trp_peer_median(&one_thread->rows[i], TRP_CONTESTANT_OURS));
        }
    }
    return NAN;
}

/* Three digits that count. */
void trp_peer_format_rate(char *out, size_t cap, double per_second)
{
    const char *unit = "";
    if (!isfinite(per_second)) {
        snprintf(out, cap, "-");
        return;
    }
    if (per_second >= 999.5e3) {
        per_second /= 1e6;
        unit = "M";
    } else if (per_second >= 1e3) {
        per_second /= 1e3;
        unit = "k";
    }
    int digits = per_second >= 99.95 ? 0 : (per_second >= 9.995 ? 1 : 2);
    snprintf(out, cap, "%.*f%s", digits, per_second, unit);
}

static void print_ratio(FILE *file, int width, double ratio)
{
    if (isfinite(ratio)) {
        fprintf(file, " %*.2f", width, ratio);
    } else {
        fprintf(file, " %*s", width, "-");
    }
}

static int width_of(enum trp_contestant who)
{
    return who == TRP_CONTESTANT_SPREAD ? 11 : 8;
}

static void print_row(FILE *file,
                      const struct trp_peer_table *table,
                      const struct trp_peer_row *row,
                      const struct trp_peer_table *one_thread)
{
    enum trp_contestant best = TRP_CONTESTANT_OURS;
    double ours = trp_peer_median(row, TRP_CONTESTANT_OURS);
    char rate[24];

    fprintf(file, "%-15s", trp_peer_name(row->kernel));
    for (int i = 0; i < TRP_CONTESTANTS; i++) {
        if (table->has[i]) {
            enum trp_contestant who = (enum trp_contestant)i;
            trp_peer_format_rate(rate, sizeof(rate), trp_peer_median(row, who));
            fprintf(file, " %*s", width_of(who), rate);
        }
    }
    double best_rate = trp_peer_best(row, &best);
    fprintf(file, " %10s", isfinite(best_rate) ? names[best] : "-");
    print_ratio(file, 10, trp_peer_ratio(ours, best_rate));
    if (table->has[TRP_CONTESTANT_FLOOR]) {
        print_ratio(file, 11, trp_peer_ratio(ours, trp_peer_median(row, TRP_CONTESTANT_FLOOR)));
    }
    if (one_thread != NULL) {
        print_ratio(file, 14, trp_peer_against(row, one_thread));
    }
    double variation = trp_sample_spread(&row->cells[TRP_CONTESTANT_OURS].rate);
    if (isfinite(ours) && isfinite(variation)) {
        fprintf(file, " %8.0f %%\n", 100 * variation);
    } else {
        fprintf(file, " %10s\n", "-");
    }
}

static void
print_head(FILE *file, const struct trp_peer_table *table, const struct trp_peer_table *one_thread)
{
    fprintf(file, "%-15s", "kernel");
    for (int i = 0; i < TRP_CONTESTANTS; i++) {
        if (table->has[i]) {
            fprintf(file, " %*s", width_of((enum trp_contestant)i), names[i]);
        }
    }
    fprintf(file, " %10s %10s", "best peer", "ours/best");
    if (table->has[TRP_CONTESTANT_FLOOR]) {
        fprintf(file, " %11s", "ours/floor");
    }
    if (one_thread != NULL) {
        fprintf(file, " %14s", "ours/1 thread");
    }
    fprintf(file, " %10s\n", "spread");
}

void trp_peer_table_print(FILE *file,
                          const struct trp_peer_table *table,
                          const struct trp_peer_table *one_thread)
{
    print_head(file, table, one_thread);
    for (uint32_t i = 0; i < table->count; i++) {
        print_row(file, table, &table->rows[i], one_thread);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        for (int k = 0; k < TRP_CONTESTANTS; k++) {
            if (table->rows[i].cells[k].note[0] != '\0') {
                fprintf(file, "note: %s %s: %s\n", trp_peer_name(table->rows[i].kernel), names[k],
                        table->rows[i].cells[k].note);
            }
        }
    }
}

static void
report_cell(struct trp_report *report, const char *name, const struct trp_peer_cell *cell)
{
    trp_report_object(report, name);
    if (cell->note[0] != '\0') {
        trp_report_string(report, "note", cell->note);
    } else {
        trp_report_real(report, "median", trp_sample_median(&cell->rate));
        trp_report_real(report, "min", trp_sample_min(&cell->rate));
        trp_report_real(report, "max", trp_sample_max(&cell->rate));
    }
    trp_report_array(report, "runs");
    for (uint32_t i = 0; i < cell->rate.count; i++) {
        trp_report_real(report, NULL, cell->rate.values[i]);
    }
    trp_report_end(report);
    trp_report_end(report);
}

static void report_row(struct trp_report *report,
                       const struct trp_peer_table *table,
                       const struct trp_peer_row *row,
                       const struct trp_peer_table *one_thread)
{
    enum trp_contestant best = TRP_CONTESTANT_OURS;
    double ours = trp_peer_median(row, TRP_CONTESTANT_OURS);
    double best_rate = trp_peer_best(row, &best);

    trp_report_object(report, NULL);
    trp_report_string(report, "kernel", trp_peer_name(row->kernel));
    trp_report_number(report, "threads", table->threads);
    trp_report_number(report, "ops", row->ops);
    trp_report_object(report, "ops_per_second");
    for (int i = 0; i < TRP_CONTESTANTS; i++) {
        if (table->has[i]) {
            report_cell(report, names[i], &row->cells[i]);
        }
    }
    trp_report_end(report);
    if (isfinite(best_rate)) {
        trp_report_string(report, "best_peer", names[best]);
    }
    trp_report_real(report, "ours_to_best_peer", trp_peer_ratio(ours, best_rate));
    trp_report_real(report, "ours_to_floor",
                    trp_peer_ratio(ours, trp_peer_median(row, TRP_CONTESTANT_FLOOR)));
    trp_report_real(report, "ours_to_one_thread", trp_peer_against(row, one_thread));
    trp_report_end(report);
}

void trp_peer_table_report(struct trp_report *report,
                           const struct trp_peer_table *table,
                           const struct trp_peer_table *one_thread)
{
    for (uint32_t i = 0; i < table->count; i++) {
        report_row(report, table, &table->rows[i], one_thread);
    }
}
