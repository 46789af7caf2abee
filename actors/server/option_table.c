#include "actors/server/option_table.h"

#define ON(command) (1u << (unsigned)TRP_COMMAND_##command)
#define ON_ALL      ((1u << (unsigned)TRP_COMMAND_COUNT) - 1u)
#define IN(member)  offsetof(struct trp_options, member)
#define MS          UINT64_C(1000000)
#define YEAR        (UINT64_C(31536000) * 1000 * MS)

/* Rows of one shape. L.. = not available yet: no member of the struct belongs to it. */
#define COUNT(name, env, lo, hi, dflt, member, cmds, help)                                         \
    {                                                                                              \
        name, env, "N", dflt, help, NULL, NULL, lo, hi, IN(member), TRP_OPTION_COUNT, cmds, false  \
    }
#define SECONDS(name, env, lo, dflt, member, cmds, help)                                           \
    {                                                                                              \
        name, env, "S", dflt, help, NULL, NULL, lo, YEAR, IN(member), TRP_OPTION_SECONDS, cmds,    \
            false                                                                                  \
    }
#define CHOICE(name, env, words, later, dflt, member, cmds, help)                                  \
    {                                                                                              \
        name, env, words, dflt, help, words, later, 0, 0, IN(member), TRP_OPTION_CHOICE, cmds,     \
            false                                                                                  \
    }
#define VALUE(name, env, value, kind, dflt, member, cmds, help)                                    \
    {                                                                                              \
        name, env, value, dflt, help, NULL, NULL, 0, 0, IN(member), TRP_OPTION_##kind, cmds, false \
    }
#define LATER(name, env, value, kind, cmds, help)                                                  \
    {                                                                                              \
        name, env, value, NULL, help, NULL, NULL, 0, 0, 0, TRP_OPTION_##kind, cmds, true           \
    }

/* clang-format off */
const struct trp_option_row trp_option_rows[] = {
    LATER("-c", "TROUPE_CONFIG", "FILE", TEXT, ON(SERVE), "read options from a YAML file"),
    COUNT("--workers", "TROUPE_WORKERS", 0, TRP_OPTION_WORKERS_MAX, "0", workers,
          ON(SERVE) | ON(RELAY), "worker threads; 0 = one for each CPU that may be used"),
    VALUE("--pin", "TROUPE_PIN", "auto|none|LIST", PIN, "auto", pin, ON(SERVE) | ON(RELAY),
          "CPUs for the workers, as in 0,2-3"),
    COUNT("--capacity", "TROUPE_CAPACITY", 1, 1000000, "1000", capacity, ON(SERVE),
          "clients served at once"),
    COUNT("--queue", "TROUPE_QUEUE", 0, 1000000, "100", queue, ON(SERVE),
          "clients that may wait when nobody can leave"),
    SECONDS("--queue-timeout", "TROUPE_QUEUE_TIMEOUT", 10 * MS, "30", queue_timeout_ns, ON(SERVE),
            "longest wait in the queue"),
    SECONDS("--idle-timeout", "TROUPE_IDLE_TIMEOUT", 10 * MS, "300", idle_timeout_ns, ON(SERVE),
            "a client without a request for so long leaves"),
    SECONDS("--route-timeout", "TROUPE_ROUTE_TIMEOUT", 10 * MS, "600", route_timeout_ns, ON(SERVE),
            "longest run of a request without progress"),
    SECONDS("--evict-min-idle", "TROUPE_EVICT_MIN_IDLE", 0, "0", evict_min_idle_ns, ON(SERVE),
            "idle time that protects a client from eviction"),
    COUNT("--client-routes", "TROUPE_CLIENT_ROUTES", 1, 10000, "100", client_routes, ON(SERVE),
          "running requests of one client"),
    COUNT("--client-backlog", "TROUPE_CLIENT_BACKLOG", 0, 10000, "100", client_backlog, ON(SERVE),
          "waiting requests of one client"),
    COUNT("--routes", "TROUPE_ROUTES", 1, 1000000, "10000", routes, ON(SERVE),
          "running requests of all clients"),
    VALUE("--key", "TROUPE_KEY", "FILE", SECRET, NULL, key_path, ON(SERVE) | ON(KEY),
          "secret key; else $XDG_STATE_HOME/troupe/key or ~/.local/state/troupe/key"),
    VALUE("--key", "TROUPE_KEY", "FILE", SECRET, NULL, key_path, ON(CALL),
          "secret key to call with; else a fresh one for each run"),
    VALUE("--relay", "TROUPE_RELAY", "URL", RELAY, NULL, relays, ON(SERVE) | ON(CALL),
          "Nostr relay, ws://HOST[:PORT][/PATH]; serve takes up to 16"),
    VALUE("--embedded-relay", "TROUPE_EMBEDDED_RELAY", "ADDR:PORT", ADDRESS, NULL, embedded_relay,
          ON(SERVE), "run a relay inside the server; port 0 = any free one"),
    CHOICE("--encryption", "TROUPE_ENCRYPTION", "disabled|optional|required", "required",
           "optional", encryption, ON(SERVE), "what clients may or must use"),
    LATER("--http", "TROUPE_HTTP", "ADDR:PORT", TEXT, ON(SERVE), "Streamable HTTP front end"),
    LATER("--uds", "TROUPE_UDS", "PATH", TEXT, ON(SERVE), "Unix socket front end"),
    LATER("--grpc", "TROUPE_GRPC", "ADDR:PORT", TEXT, ON(SERVE), "gRPC front end"),
    LATER("--admin", "TROUPE_ADMIN", "ADDR:PORT", TEXT, ON(SERVE), "administration and metrics"),
    LATER("--stdio", "TROUPE_STDIO", NULL, FLAG, ON(SERVE), "serve one client on standard input"),
    VALUE("--backend", "TROUPE_BACKEND", "KIND:WHAT", BACKEND, "builtin:demo", backend, ON(SERVE),
          "builtin:demo or stdio:COMMAND"),
    CHOICE("--backend-mode", "TROUPE_BACKEND_MODE", "per-client|shared", NULL, "per-client",
           backend_mode, ON(SERVE), "one backend for each client or one for all"),
    COUNT("--backend-max", "TROUPE_BACKEND_MAX", 1, TRP_OPTION_PROCESSES_MAX, "64", backend_max, ON(SERVE),
          "backend processes at once"),
    COUNT("--backend-starting", "TROUPE_BACKEND_STARTING", 1, 64, "4", backend_starting, ON(SERVE),
          "backend processes starting at once"),
    SECONDS("--backend-start-timeout", "TROUPE_BACKEND_START_TIMEOUT", 10 * MS, "30",
            backend_start_timeout_ns, ON(SERVE), "longest start of a backend process"),
    VALUE("--listen", "TROUPE_LISTEN", "ADDR:PORT", ADDRESS, NULL, listen, ON(RELAY),
          "where the relay listens (required); port 0 = any free one"),
    VALUE("--server", "TROUPE_SERVER", "HEX", PUBKEY, NULL, server, ON(CALL),
          "public key of the server, 64 hex digits"),
    LATER("--http", "TROUPE_HTTP", "URL", TEXT, ON(CALL), "call over Streamable HTTP"),
    LATER("--uds", "TROUPE_UDS", "PATH", TEXT, ON(CALL), "call over a Unix socket"),
    SECONDS("--timeout", "TROUPE_TIMEOUT", 10 * MS, "30", call_timeout_ns, ON(CALL),
            "longest wait for the answer"),
    LATER("--sock", "TROUPE_SOCK", "PATH", TEXT, ON(WORKER), "Unix socket of the server"),
    CHOICE("--log", "TROUPE_LOG", "logfmt|json", NULL, "logfmt", log_format, ON_ALL,
           "form of the log lines on standard error"),
    CHOICE("--log-level", "TROUPE_LOG_LEVEL", "debug|info|warn|error", NULL, "info", log_level,
           ON_ALL, "least important lines that are logged"),
};
/* clang-format on */

const size_t trp_option_row_count = sizeof(trp_option_rows) / sizeof(trp_option_rows[0]);

_Static_assert(sizeof(trp_option_rows) / sizeof(trp_option_rows[0]) <= TRP_OPTION_ROWS_MAX,
               "the parser keeps one mark for each row");

const struct trp_command_row trp_command_rows[TRP_COMMAND_COUNT] = {
    [TRP_COMMAND_SERVE] = {"serve", "", "put a backend behind relays and sockets", false},
    [TRP_COMMAND_RELAY] = {"relay", "", "run a small Nostr relay", false},
    [TRP_COMMAND_KEY] = {"key", " new|show", "make or show the server's key", false},
    [TRP_COMMAND_CALL] = {"call", " METHOD [PARAMS-JSON]", "send one request to a server", false},
    [TRP_COMMAND_WORKER] = {"worker", "", "run as a worker process of a server", true},
    [TRP_COMMAND_CONNECTOR] = {"connector", "", "serve registrations of a connector gateway", true},
    [TRP_COMMAND_SUBSCRIBE] = {"subscribe", "", "hold a bidirectional subscription", true},
};
