#ifndef TRP_PROCESS_SPAWNER_H
#define TRP_PROCESS_SPAWNER_H

/**
 * The spawner: a small process that starts, watches and cleans up the server's children.
 *
 * It is forked before threads and rings exist, so starting a child never copies a threaded
 * process, and it outlives the server however that dies: when its socket closes it ends every
 * child with all descendants, and then itself.
 *
 * What holds for a child:
 * - It leads a process group of its own. Stopping signals the whole group.
 * - It is the subreaper of its descendants. While it lives, what it orphans stays below it (also
 *   after setsid and double fork); when it dies, the group is killed and everything left of its
 *   tree falls to the spawner, which kills it. The price: a child that daemonises helpers becomes
 *   their parent and sees their SIGCHLD.
 * - It is killed when the spawner dies (parent death signal). Then its descendants are not found.
 * - It has descriptors 0, 1 and 2 only, default signal dispositions, an empty signal mask, no core
 *   dump, the server's environment as of the start without the variables named TROUPE_*, plus the
 *   request's. The program is looked up in the PATH of that environment.
 *
 * The server's end is one non-blocking descriptor: poll trp_spawner_fd for reading, then call
 * trp_spawner_receive until it says TROUPE_EBUSY. Each SPAWN that was sent is answered by exactly
 * one STARTED or FAILED; each STARTED is followed by exactly one EXITED, unless CLOSED comes first.
 *
 * Threads: start and close at startup and shutdown; everything else one owner at a time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <troupe/status.h>

#define TRP_SPAWN_CHILDREN_MAX   1024u
#define TRP_SPAWN_ARGC_MAX       256u
#define TRP_SPAWN_ARGV_BYTES_MAX (64u * 1024u) /* with the NUL of each word */
#define TRP_SPAWN_ENVC_MAX       256u
#define TRP_SPAWN_ENV_BYTES_MAX  (32u * 1024u) /* additions, with the NUL of each */
#define TRP_SPAWN_CWD_BYTES_MAX  4096u         /* with its NUL */
#define TRP_SPAWN_TEXT_MAX       256u          /* reason of a failure, with its NUL */
#define TRP_SPAWN_GRACE_MS_MAX   600000u       /* a longer grace is shortened to this */

/** What happens to a child's standard error. */
enum trp_spawn_stderr {
    TRP_SPAWN_STDERR_PIPE = 0,    /* a pipe of its own to the server */
    TRP_SPAWN_STDERR_INHERIT = 1, /* the standard error the server had at the start */
    TRP_SPAWN_STDERR_NULL = 2,
};

/** A program to start. Borrowed during the call only. */
struct trp_spawn_request {
    const char *const *argv; /* cstr[argc] */
    uint32_t argc;           /* 1..TRP_SPAWN_ARGC_MAX */
    const char *const *env;  /* cstr[envc], KEY=VALUE; replaces an inherited KEY */
    uint32_t envc;           /* 0..TRP_SPAWN_ENVC_MAX */
    const char *cwd;         /* optional; NULL = the server's at the start */
    enum trp_spawn_stderr stderr_mode;
};

enum trp_spawn_event_type {
    TRP_SPAWN_EVENT_STARTED, /* pid and descriptors; the program runs */
    TRP_SPAWN_EVENT_FAILED,  /* error and text; nothing runs, the id is free again */
    TRP_SPAWN_EVENT_EXITED,  /* exit_kind and value; the id is free again */
    TRP_SPAWN_EVENT_CLOSED,  /* the spawner is gone; comes once, nothing follows */
};

enum trp_spawn_exit {
    TRP_SPAWN_EXIT_STATUS = 0, /* value = exit status */
    TRP_SPAWN_EXIT_SIGNAL = 1, /* value = signal */
};

struct trp_spawn_event {
    enum trp_spawn_event_type type;
    uint64_t id;
    pid_t pid;     /* STARTED: also the process group */
    int stdin_fd;  /* STARTED: for writing; these three are non-blocking and close-on-exec */
    int stdout_fd; /* STARTED: for reading */
    int stderr_fd; /* STARTED: for reading; -1 unless TRP_SPAWN_STDERR_PIPE */
    int error;     /* FAILED: errno. STARTED: 0, or EMFILE when the server had no descriptor left:
                      all three are -1 then, the child runs, kill it */
    enum trp_spawn_exit exit_kind;
    int value;
    char text[TRP_SPAWN_TEXT_MAX]; /* FAILED: cstr, "exec: No such file or directory: foo" */
};

/** The server's end. */
struct trp_spawner {
    uint32_t magic;
    int fd;
    pid_t pid;      /* of the spawner, 0 once reaped */
    bool is_closed; /* CLOSED was reported */
};

/**
 * Forks the spawner. Must be called before the first thread and the first ring exist.
 *
 * @param[out] spawner       the server's end
 * @param[in]  children_max  1..TRP_SPAWN_CHILDREN_MAX; one more is answered FAILED with EAGAIN
 * @return TROUPE_OK; TROUPE_EINVAL; TROUPE_ENOMEM; TROUPE_EIO when the kernel refused a socket or
 *         a process (errno says why)
 * Cost: allocates, system calls
 */
TROUPE_MUST_USE enum troupe_status trp_spawner_start(struct trp_spawner *spawner,
                                                     uint32_t children_max);

/**
 * Closes the server's end: the spawner ends all children (SIGTERM, 200 ms, SIGKILL) and exits.
 * Further sends say TROUPE_ECLOSED. Harmless when repeated.
 */
void trp_spawner_close(struct trp_spawner *spawner);

/**
 * Waits until the spawner process has ended; call after trp_spawner_close or CLOSED. When it has
 * ended by itself, no child is left. Only a child that cannot be killed (it changed its user, or
 * sleeps uninterruptibly) makes it stay longer than its 200 ms of grace.
 *
 * @param[out] wait_status  as of waitpid(2); 0 when there was nothing to wait for
 * @return TROUPE_OK; TROUPE_EEXPIRED when it has not ended in time (call again or leave it);
 *         TROUPE_EIO when the kernel cannot tell (errno says why)
 * Cost: blocks
 */
TROUPE_MUST_USE enum troupe_status
trp_spawner_wait(struct trp_spawner *spawner, int *wait_status, uint32_t timeout_ms);

/** The descriptor to poll for events; -1 after close. */
int trp_spawner_fd(const struct trp_spawner *spawner);

/**
 * Asks for a child.
 *
 * @param[in] id  chosen by the caller, unused among its requests not yet FAILED or EXITED (else
 *                answered FAILED with EEXIST)
 * @return TROUPE_OK when sent; TROUPE_EBUSY when the socket is full (wait for writability, retry);
 *         TROUPE_ECLOSED; TROUPE_EINVAL or TROUPE_ETOOLARGE for the request itself
 * Cost: one system call, allocates nothing
 */
TROUPE_MUST_USE enum troupe_status trp_spawner_send_spawn(struct trp_spawner *spawner,
                                                          uint64_t id,
                                                          const struct trp_spawn_request *request);

/**
 * SIGTERM (and SIGCONT) to the child's group, SIGKILL after the grace. An unknown id is ignored:
 * its EXITED may be on the way. Of several stops the earliest end counts.
 *
 * @return TROUPE_OK when sent; TROUPE_EBUSY; TROUPE_ECLOSED
 */
TROUPE_MUST_USE enum troupe_status
trp_spawner_send_stop(struct trp_spawner *spawner, uint64_t id, uint32_t grace_ms);

/** SIGKILL to the child's group at once. Otherwise as trp_spawner_send_stop. */
TROUPE_MUST_USE enum troupe_status trp_spawner_send_kill(struct trp_spawner *spawner, uint64_t id);

/**
 * Takes one event.
 *
 * @return TROUPE_OK; TROUPE_EBUSY when there is none now; TROUPE_ECLOSED after CLOSED was given out
 *         or after trp_spawner_close
 * Ownership: the event's descriptors are the caller's
 */
TROUPE_MUST_USE enum troupe_status trp_spawner_receive(struct trp_spawner *spawner,
                                                       struct trp_spawn_event *event);

#endif
