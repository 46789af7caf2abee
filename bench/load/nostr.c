#include "bench/load/nostr.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include <troupe/io.h>

#include "bench/args.h"
#include "bench/kernels/limit.h"
#include "bench/load/nostr_run.h"
#include "io/codec/url.h"

#define EVENT_CAP ((size_t)4 << 20) /* an event of the largest WebSocket message we take */

static const char *const verify_names[] = {"all", "sample", "none", NULL};

/* --- texts for the summary --- */

void trp_load_fail(struct load_run *run, struct load_worker *worker, const char *format, ...)
{
    if (worker->error[0] == '\0') {
        va_list values;
        va_start(values, format);
        vsnprintf(worker->error, sizeof(worker->error), format, values);
        va_end(values);
    }
    troupe_pool_stop(run->pool);
}

void trp_load_note(struct load_worker *worker, const char *what, struct troupe_span detail)
{
    if (worker->notice[0] == '\0') {
        snprintf(worker->notice, sizeof(worker->notice), "%s: %.*s", what,
                 (int)(detail.len < 100 ? detail.len : 100), detail.len > 0 ? detail.data : "");
    }
}

/* --- memory --- */

static bool make_worker(struct load_worker *worker, const struct load_options *options)
{
    /* JSON within JSON: at most each byte escaped twice, and the members around it. */
    worker->wire_cap = 4 * (size_t)options->payload + 8192;
    worker->event_cap = EVENT_CAP;
    worker->crypto = trp_nostr_crypto_create();
    worker->json = trp_json_create(trp_json_limits_default());
    worker->event = malloc(worker->event_cap);
    worker->text = malloc(options->payload);
    worker->params = malloc(worker->wire_cap);
    worker->content = malloc(worker->wire_cap);
    worker->wire = malloc(worker->wire_cap);
    return worker->crypto != NULL && worker->json != NULL && worker->event != NULL &&
           worker->text != NULL && worker->params != NULL && worker->content != NULL &&
           worker->wire != NULL && trp_hist_init_latency(&worker->latency) &&
           trp_hist_init_latency(&worker->lateness);
}

static void free_worker(struct load_worker *worker)
{
    trp_nostr_crypto_destroy(worker->crypto);
    if (worker->json != NULL) {
        trp_json_destroy(worker->json);
    }
    free(worker->event);
    free(worker->text);
    free(worker->params);
    free(worker->content);
    free(worker->wire);
    trp_hist_fini(&worker->latency);
    trp_hist_fini(&worker->lateness);
}

/* The same seed gives the same clients. */
static bool make_client(struct load_client *client, struct load_run *run, uint32_t index)
{
    struct {
        char label[16];
        uint64_t seed;
        uint64_t index;
    } source = {"troupe-bench", run->options.seed, index};
    uint8_t secret[TRP_NOSTR_SECRET_LEN];
    struct trp_text hex = trp_text_init(client->pubkey_hex, sizeof(client->pubkey_hex) - 1);

    trp_nostr_sha256(secret, troupe_span(&source, sizeof(source)));
    client->index = index;
    client->next_seq = 1;
    client->slots = &run->slots[(size_t)index * run->options.inflight];
    if (trp_nostr_key_init(run->workers[0].crypto, &client->key, secret) != TROUPE_OK) {
        return false;
    }
    trp_text_hex(&hex, client->key.pubkey, TRP_NOSTR_PUBKEY_LEN);
    return true;
}

bool trp_load_run_make(struct load_run *run)
{
    const struct load_options *options = &run->options;
    size_t workers_size = options->workers * sizeof(*run->workers);

    run->workers = aligned_alloc(_Alignof(struct load_worker), workers_size);
    run->clients = calloc(options->clients, sizeof(*run->clients));
    run->slots = calloc((size_t)options->clients * options->inflight, sizeof(*run->slots));
    run->conn_args = calloc(options->connections, sizeof(*run->conn_args));
    run->conns = calloc(options->connections, sizeof(*run->conns));
    run->probes = calloc(options->workers, sizeof(*run->probes));
    if (run->workers != NULL) {
        memset(run->workers, 0, workers_size);
    }
    if (run->workers == NULL || run->clients == NULL || run->slots == NULL ||
        run->conn_args == NULL || run->conns == NULL || run->probes == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < options->workers; i++) {
        if (!make_worker(&run->workers[i], options)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < options->clients; i++) {
        if (!make_client(&run->clients[i], run, i)) {
            return false;
        }
    }
    return true;
}

void trp_load_run_free(struct load_run *run)
{
    for (uint32_t i = 0; run->workers != NULL && i < run->options.workers; i++) {
        free_worker(&run->workers[i]);
    }
    for (uint32_t i = 0; run->clients != NULL && i < run->options.clients; i++) {
        trp_nostr_key_wipe(&run->clients[i].key);
    }
    free(run->workers);
    free(run->clients);
    free(run->slots);
    free(run->conn_args);
    free(run->conns);
    free(run->probes);
}

/* --- the run --- */

/* Connection i gets the clients [i * clients / connections, (i + 1) * clients / connections). */
static enum troupe_status spawn_all(struct load_run *run)
{
    const struct load_options *options = &run->options;
    enum troupe_status status =
        troupe_pool_spawn(run->pool, &run->control, 0, &trp_load_control_type, run);

    for (uint32_t i = 0; i < options->workers && status == TROUPE_OK; i++) {
        status = troupe_pool_spawn(run->pool, &run->probes[i], i, &trp_load_probe_type, run);
    }
    for (uint32_t i = 0; i < options->connections && status == TROUPE_OK; i++) {
        uint64_t first = (uint64_t)i * options->clients / options->connections;
        uint64_t next = (uint64_t)(i + 1) * options->clients / options->connections;
        run->conn_args[i] = (struct load_conn_arg){run, (uint32_t)first, (uint32_t)(next - first)};
        status = troupe_pool_spawn(run->pool, &run->conns[i], i % options->workers,
                                   &trp_load_conn_type, &run->conn_args[i]);
    }
    return status;
}

static int run_pool(struct load_run *run)
{
    struct troupe_pool_config config = {
        .workers = run->options.workers,
        .pin = run->options.pin,
        .driver = troupe_ring_driver(),
    };
    char error[TROUPE_RING_ERROR_MAX] = "";

    if (troupe_pool_create(&run->pool, &config, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "troupe-bench load nostr: %s\n", error);
        return TRP_BENCH_USAGE;
    }
    int status = TRP_BENCH_FAILED;
    if (spawn_all(run) != TROUPE_OK) {
        fprintf(stderr, "troupe-bench load nostr: no room for the connections\n");
    } else if (troupe_pool_start(run->pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "troupe-bench load nostr: %s\n", error);
    } else {
        troupe_pool_join(run->pool);
        status = trp_load_report(run);
    }
    troupe_pool_destroy(run->pool);
    return status;
}

/* What one call costs a server in cryptography alone. */
static double measure_crypto(void)
{
    struct trp_machine machine;
    trp_machine_read(&machine);
    return trp_limit_measure(TRP_LIMIT_VERIFY, &machine) +
           trp_limit_measure(TRP_LIMIT_SIGN, &machine) +
           2 * trp_limit_measure(TRP_LIMIT_SHA256, &machine);
}

static int run_load(struct load_run *run)
{
    int status = TRP_BENCH_FAILED;

    trp_load_ws_config(&run->ws);
    if (trp_load_run_make(run)) {
        run->crypto_ns = measure_crypto();
        status = run_pool(run);
    } else {
        fprintf(stderr, "troupe-bench load nostr: out of memory\n");
    }
    trp_load_run_free(run);
    return status;
}

/* --- the command line --- */

static bool check_options(struct load_options *options)
{
    struct trp_url url;
    const char *error;

    if (trp_url_parse(&url, &error, troupe_span_cstr(options->relay)) != TROUPE_OK) {
        fprintf(stderr, "troupe-bench load nostr: --relay: `%s`: %s\n", options->relay, error);
        return false;
    }
    if (url.scheme != TRP_URL_WS) {
        fprintf(stderr, "troupe-bench load nostr: --relay: `%s` is not a ws:// URL%s\n",
                options->relay, url.scheme == TRP_URL_WSS ? " (wss is not available yet)" : "");
        return false;
    }
    if (!trp_hex_decode_lower(options->server, sizeof(options->server),
                              troupe_span_cstr(options->server_hex))) {
        fprintf(stderr,
                "troupe-bench load nostr: --server: `%s` is not a public key of 64 lower-case hex "
                "digits\n",
                options->server_hex);
        return false;
    }
    uint64_t cpu_ns;
    if (options->server_pid != 0 && !trp_machine_process_cpu_ns(options->server_pid, &cpu_ns)) {
        fprintf(stderr, "troupe-bench load nostr: --server-pid: there is no process %llu\n",
                (unsigned long long)options->server_pid);
        return false;
    }
    if (options->connections == 0) { /* relays bound the subscriptions of a connection */
        options->connections = (options->clients + 31) / 32;
        options->connections = options->connections < 4 ? 4 : options->connections;
    }
    if (options->connections > options->clients) {
        options->connections = options->clients;
    }
    if (options->workers > options->connections) {
        options->workers = options->connections;
    }
    return true;
}

struct numbers {
    uint64_t clients, inflight, duration, warmup, connections, payload, workers, timeout, seed, pid;
    uint64_t verify;
};

static void take_numbers(struct load_options *options, const struct numbers *numbers)
{
    options->clients = (uint32_t)numbers->clients;
    options->inflight = (uint32_t)numbers->inflight;
    options->connections = (uint32_t)numbers->connections;
    options->workers = (uint32_t)numbers->workers;
    options->payload = (uint32_t)numbers->payload;
    options->duration_ns = numbers->duration * 1000000000u;
    options->warmup_ns = numbers->warmup * 1000000000u;
    options->timeout_ns = numbers->timeout * 1000000000u;
    options->seed = numbers->seed;
    options->server_pid = numbers->pid;
    options->verify = (enum load_verify)numbers->verify;
}

#define NUMBER(name, field, min, max, metavar, help)                                               \
    {                                                                                              \
        (name), TRP_ARG_NUMBER, &numbers.field, (min), (max), NULL, false, (metavar), (help),      \
            false                                                                                  \
    }

int trp_bench_load_nostr(int argc, char **argv)
{
    struct load_run run = {.options = {.pin = "none"}};
    struct load_options *options = &run.options;
    struct numbers numbers = {.clients = 50,
                              .inflight = 1,
                              .duration = 10,
                              .warmup = 2,
                              .payload = 100,
                              .workers = 1,
                              .timeout = 30,
                              .seed = 1};
    struct trp_arg table[] = {
        {"--relay", TRP_ARG_TEXT, &options->relay, 0, 0, NULL, true, "URL", "relay, ws://", false},
        {"--server", TRP_ARG_TEXT, &options->server_hex, 0, 0, NULL, true, "HEX",
         "public key of the server", false},
        NUMBER("--clients", clients, 1, LOAD_CLIENTS_MAX, "N", "clients, each with its own key"),
        NUMBER("--inflight", inflight, 1, 1024, "K", "calls each client keeps in flight"),
        NUMBER("--duration", duration, 1, 86400, "S", "seconds measured"),
        NUMBER("--warmup", warmup, 0, 3600, "S", "seconds before that, cut from every figure"),
        NUMBER("--connections", connections, 1, 10000, "M",
               "connections to the relay; default 1 for 32 clients, at least 4"),
        NUMBER("--payload", payload, LOAD_PAYLOAD_MIN, LOAD_PAYLOAD_MAX, "BYTES", "echoed text"),
        NUMBER("--workers", workers, 1, TROUPE_WORKERS_MAX, "N", "threads of this generator"),
        NUMBER("--timeout", timeout, 1, 3600, "S", "after which a call counts as lost"),
        NUMBER("--seed", seed, 0, UINT64_MAX, "N", "of keys and texts"),
        NUMBER("--server-pid", pid, 1, 4194304, "PID", "process whose CPU time is measured"),
        {"--verify", TRP_ARG_CHOICE, &numbers.verify, 0, 0, verify_names, false, "all|sample|none",
         "whose signatures to check; ids are checked unless none", false},
        {"--pin", TRP_ARG_TEXT, &options->pin, 0, 0, NULL, false, "auto|none|LIST",
         "where the generator runs", false},
        {"--json", TRP_ARG_TEXT, &options->json_path, 0, 0, NULL, false, "FILE",
         "write the result there", false},
    };
    struct trp_args args = {
        .command = "load nostr",
        .usage = "load nostr --relay URL --server HEX [OPTION]...",
        .about = "Closed loop: each client calls the tool `echo` over and over and checks every "
                 "answer.\nExit status 3 when an answer is lost or wrong.",
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
    };
    int status;
    if (!trp_args_read(&args, argc, argv, &status)) {
        return status;
    }
    take_numbers(options, &numbers);
    if (!check_options(options)) {
        return TRP_BENCH_USAGE;
    }
    return run_load(&run);
}
