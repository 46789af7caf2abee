#include "io/process/spawner_main.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <troupe/assert.h>

#include "io/process/orphans.h"
#include "io/process/spawner_proto.h"

/* Time between SIGTERM and SIGKILL once the server is gone. */
#define CLOSING_GRACE_NS UINT64_C(200000000)
/* After that, when to look again for what is left, should a death go unnoticed; it doubles. */
#define CLOSING_LOOK_NS     UINT64_C(50000000)
#define CLOSING_LOOK_NS_MAX UINT64_C(1000000000)
/* Wait before sending again when the kernel is short of something other than socket room. */
#define SEND_RETRY_NS UINT64_C(10000000)
#define NS_PER_MS     UINT64_C(1000000)
#define RECEIVE_BATCH 16
#define EXIT_SETUP    70

enum answer {
    ANSWER_NONE,    /* nothing to say, or said */
    ANSWER_STARTED, /* to be sent, with the descriptors */
    ANSWER_FAILED,  /* to be sent once the child is reaped */
};

/*
 * One child. While error_fd >= 0 it is on its way to exec; then answer is set. STARTED is sent at
 * once. When the child is reaped the record ends: with FAILED, or with EXITED after a start.
 */
struct child {
    bool is_used;
    uint64_t id;
    pid_t leader; /* as reported */
    pid_t pid;    /* the same, 0 = reaped */
    int error_fd;
    int fds[TRP_SPAWN_FDS_MAX]; /* the server's ends until they are sent, else -1 */
    enum answer answer;
    enum trp_spawn_exit exit_kind;
    int exit_value;
    uint64_t kill_at_ns; /* 0 = no stop asked for */
    struct trp_spawn_failure failure;
};

/* Poll entries before those of the children on their way to exec. */
enum { POLL_SOCKET, POLL_SIGNAL, POLL_FIRST_CHILD };

struct trp_spawner_state {
    pid_t pid;
    int socket_fd; /* -1 = the server is gone */
    int signal_fd;
    int null_fd;
    struct rlimit files; /* as inherited, for the children */
    uint64_t now_ns;
    uint64_t closing_look_at_ns; /* 0 = not closing */
    uint64_t closing_look_ns;
    uint64_t send_retry_at_ns;
    bool is_blocked;  /* events wait for room in the socket */
    bool needs_sweep; /* somebody died: processes may have been adopted */
    bool is_childless;
    bool is_blind;    /* the last look for adopted processes failed */
    bool has_refusal; /* a SPAWN that got no record; no request is read until it is answered */
    struct trp_spawn_event refusal;
    struct trp_spawn_order order;
    uint32_t children_max;
    struct child *children;
    struct pollfd *polls;
    size_t inherited_count;
    char **inherited;   /* the server's environment that children may see */
    char **environment; /* of the child being started */
    char packet[TRP_SPAWN_PACKET_MAX + 1];
};

struct trp_spawner_state *trp_spawner_state_create(uint32_t children_max)
{
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL) {
        count++;
    }
    struct trp_spawner_state *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->children_max = children_max;
    s->children = calloc(children_max, sizeof(*s->children));
    s->polls = calloc((size_t)children_max + POLL_FIRST_CHILD, sizeof(*s->polls));
    s->inherited = calloc(count + 1, sizeof(char *));
    s->environment = calloc(count + TRP_SPAWN_ENVC_MAX + 1, sizeof(char *));
    if (s->children == NULL || s->polls == NULL || s->inherited == NULL || s->environment == NULL) {
        trp_spawner_state_destroy(s);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        /* The server's settings, keys among them, are none of its children's business. */
        if (strncmp(environ[i], "TROUPE_", 7) != 0) {
            s->inherited[s->inherited_count++] = environ[i];
        }
    }
    return s;
}

void trp_spawner_state_destroy(struct trp_spawner_state *state)
{
    if (state != NULL) {
        free(state->children);
        free(state->polls);
        free(state->inherited);
        free(state->environment);
        free(state);
    }
}

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void close_child_fds(struct child *c)
{
    for (size_t i = 0; i < TRP_SPAWN_FDS_MAX; i++) {
        close_fd(&c->fds[i]);
    }
}

static void signal_group(const struct child *c, int signal_number)
{
    /* The leader may have joined another group; its own pid stays valid until we reap it. */
    if (kill(-c->pid, signal_number) != 0 || signal_number == SIGKILL) {
        (void)kill(c->pid, signal_number);
    }
}

static void stop_child(struct child *c, uint64_t kill_at_ns)
{
    if (c->kill_at_ns == 0 || kill_at_ns < c->kill_at_ns) {
        c->kill_at_ns = kill_at_ns;
    }
    signal_group(c, SIGTERM);
    signal_group(c, SIGCONT); /* a stopped process would never see the first */
}

/* ---- setup ---- */

static int adopt_descriptors(struct trp_spawner_state *s, int socket_fd)
{
    s->socket_fd = fcntl(socket_fd, F_DUPFD_CLOEXEC, 3);
    if (s->socket_fd < 0) {
        return -1;
    }
    unsigned fd = (unsigned)s->socket_fd;
    if ((fd > 3 && close_range(3, fd - 1, 0) != 0) || close_range(fd + 1, ~0u, 0) != 0) {
        return -1;
    }
    s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (s->null_fd < 0) {
        return -1;
    }
    /* With 0 to 2 taken, no descriptor made later can collide with a child's standard three. */
    if (s->null_fd <= 2) {
        s->null_fd = fcntl(s->null_fd, F_DUPFD_CLOEXEC, 3);
    }
    if (s->null_fd < 0 || dup2(s->null_fd, 0) < 0 || dup2(s->null_fd, 1) < 0 ||
        (fcntl(2, F_GETFD) < 0 && dup2(s->null_fd, 2) < 0)) {
        return -1;
    }
    return 0;
}

static int set_up(struct trp_spawner_state *s, int socket_fd)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t child_ended;
    s->pid = getpid();
    if (prctl(PR_SET_NAME, "troupe-spawner") != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return -1;
    }
    /* A session of its own: Ctrl-C reaches the server only, which decides what ends when. All
       signals stay blocked for the same reason: a SIGTERM to everybody must not end the cleaner
       before the server has drained. */
    (void)setsid();
    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        (void)sigaction(signal_number, &action, NULL);
    }
    if (adopt_descriptors(s, socket_fd) != 0) {
        return -1;
    }
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    s->signal_fd = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0 || getrlimit(RLIMIT_NOFILE, &s->files) != 0) {
        return -1;
    }
    /* Three descriptors and a pipe for each child on its way; a lower hard limit shows as EMFILE
       in the answer. */
    struct rlimit files = s->files;
    rlim_t want = (rlim_t)s->children_max * 4 + 64;
    if (files.rlim_cur < want) {
        files.rlim_cur = files.rlim_max < want ? files.rlim_max : want;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return 0;
}

/* ---- sending events ---- */

static void begin_closing(struct trp_spawner_state *s)
{
    if (s->socket_fd < 0) {
        return;
    }
    close_fd(&s->socket_fd);
    s->is_blocked = false;
    s->has_refusal = false;
    s->send_retry_at_ns = 0;
    s->closing_look_at_ns = s->now_ns + CLOSING_GRACE_NS;
    s->closing_look_ns = CLOSING_LOOK_NS;
    s->needs_sweep = true;
    for (uint32_t i = 0; i < s->children_max; i++) {
        struct child *c = &s->children[i];
        if (!c->is_used) {
            continue;
        }
        close_child_fds(c);
        if (c->pid != 0) {
            stop_child(c, s->closing_look_at_ns);
        }
    }
}

/* Sends one event; false when it has to be sent later (or never, the server being gone). */
static bool send_event(struct trp_spawner_state *s,
                       const struct trp_spawn_event *event,
                       const int *fds,
                       size_t fds_count)
{
    char packet[TRP_SPAWN_EVENT_MAX];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(TRP_SPAWN_FDS_MAX * sizeof(int))] = {0};
    struct iovec iov = {packet, trp_spawn_event_encode(packet, event)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds_count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fds_count * sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(s->socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        return true;
    }
    if (errno == EAGAIN) {
        s->is_blocked = true;
    } else if (errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) {
        s->send_retry_at_ns = s->now_ns + SEND_RETRY_NS;
    } else {
        begin_closing(s);
    }
    return false;
}

static bool send_started(struct trp_spawner_state *s, struct child *c)
{
    struct trp_spawn_event event = {.type = TRP_SPAWN_EVENT_STARTED, .id = c->id, .pid = c->leader};
    if (!send_event(s, &event, c->fds, c->fds[2] >= 0 ? 3 : 2)) {
        return false;
    }
    close_child_fds(c);
    c->answer = ANSWER_NONE;
    return true;
}

static bool send_end(struct trp_spawner_state *s, const struct child *c)
{
    struct trp_spawn_event event = {.type = TRP_SPAWN_EVENT_EXITED,
                                    .id = c->id,
                                    .exit_kind = c->exit_kind,
                                    .value = c->exit_value};
    if (c->answer == ANSWER_FAILED) {
        event.type = TRP_SPAWN_EVENT_FAILED;
        event.error = c->failure.error;
        memcpy(event.text, c->failure.text, sizeof(event.text));
    }
    return send_event(s, &event, NULL, 0);
}

/* Tells the server what is due about one child; false when the socket takes no more. */
static bool flush_child(struct trp_spawner_state *s, struct child *c)
{
    if (c->error_fd >= 0) {
        return true;
    }
    if (s->socket_fd >= 0) {
        if (c->answer == ANSWER_STARTED && !send_started(s, c)) {
            return false;
        }
        if (c->pid == 0 && !send_end(s, c)) {
            return false;
        }
    }
    if (c->pid == 0) {
        close_child_fds(c);
        c->is_used = false;
    }
    return true;
}

static void flush_events(struct trp_spawner_state *s)
{
    s->is_blocked = false;
    if (s->now_ns < s->send_retry_at_ns) {
        return;
    }
    s->send_retry_at_ns = 0;
    if (s->has_refusal && !send_event(s, &s->refusal, NULL, 0)) {
        return;
    }
    s->has_refusal = false;
    for (uint32_t i = 0; i < s->children_max; i++) {
        struct child *c = &s->children[i];
        if (c->is_used && !flush_child(s, c)) {
            return;
        }
    }
}

/* ---- starting ---- */

struct pipes {
    int input[2];
    int output[2];
    int errors[2];  /* the child's standard error */
    int failure[2]; /* how its exec went */
};

static void refuse(struct trp_spawner_state *s, uint64_t id, int error, const char *stage)
{
    const char *reason = strerrordesc_np(error);
    s->has_refusal = true;
    s->refusal = (struct trp_spawn_event){.type = TRP_SPAWN_EVENT_FAILED, .id = id, .error = error};
    snprintf(s->refusal.text, sizeof(s->refusal.text), "%s: %s", stage,
             reason == NULL ? "unknown error" : reason);
}

static void close_pipes(struct pipes *p)
{
    int *all[] = {p->input, p->output, p->errors, p->failure};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        close_fd(&all[i][0]);
        close_fd(&all[i][1]);
    }
}

static bool unblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Only the ends this side and the server use become non-blocking: programs expect blocking ones. */
static bool open_pipes(struct pipes *p, enum trp_spawn_stderr stderr_mode)
{
    *p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(p->input, O_CLOEXEC) == 0 && unblock(p->input[1]) &&
        pipe2(p->output, O_CLOEXEC) == 0 && unblock(p->output[0]) &&
        pipe2(p->failure, O_CLOEXEC) == 0 && unblock(p->failure[0]) &&
        (stderr_mode != TRP_SPAWN_STDERR_PIPE ||
         (pipe2(p->errors, O_CLOEXEC) == 0 && unblock(p->errors[0])))) {
        return true;
    }
    int error = errno;
    close_pipes(p);
    errno = error;
    return false;
}

static bool has_key_of(char *const *variables, size_t count, const char *variable)
{
    size_t len = (size_t)(strchrnul(variable, '=') - variable);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(variables[i], variable, len) == 0 && variables[i][len] == '=') {
            return true;
        }
    }
    return false;
}

/* The inherited variables that the request does not replace, then the request's; the last wins. */
static void build_environment(struct trp_spawner_state *s, const struct trp_spawn_order *order)
{
    size_t count = 0;
    for (size_t i = 0; i < s->inherited_count; i++) {
        if (!has_key_of(order->env, order->envc, s->inherited[i])) {
            s->environment[count++] = s->inherited[i];
        }
    }
    for (uint32_t i = 0; i < order->envc; i++) {
        if (!has_key_of(&order->env[i + 1], order->envc - i - 1, order->env[i])) {
            s->environment[count++] = order->env[i];
        }
    }
    s->environment[count] = NULL;
}

static struct child *find_child(struct trp_spawner_state *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (s->children[i].is_used && s->children[i].id == id) {
            return &s->children[i];
        }
    }
    return NULL;
}

static struct child *find_leader(struct trp_spawner_state *s, pid_t pid)
{
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (s->children[i].is_used && s->children[i].pid == pid) {
            return &s->children[i];
        }
    }
    return NULL;
}

static struct child *find_free(struct trp_spawner_state *s)
{
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (!s->children[i].is_used) {
            return &s->children[i];
        }
    }
    return NULL;
}

static void start_child(struct trp_spawner_state *s, const struct trp_spawn_order *order)
{
    struct pipes p;
    struct child *c = find_free(s);
    if (find_child(s, order->id) != NULL) {
        refuse(s, order->id, EEXIST, "request id in use");
        return;
    }
    if (c == NULL) {
        refuse(s, order->id, EAGAIN, "process limit reached");
        return;
    }
    if (!open_pipes(&p, order->stderr_mode)) {
        refuse(s, order->id, errno, "pipe");
        return;
    }
    build_environment(s, order);
    const struct trp_spawn_launch launch = {
        .stdin_fd = p.input[0],
        .stdout_fd = p.output[1],
        .stderr_fd = order->stderr_mode == TRP_SPAWN_STDERR_NULL ? s->null_fd : p.errors[1],
        .error_fd = p.failure[1],
        .spawner_pid = s->pid,
        .files = s->files,
        .argv = order->argv,
        .environment = s->environment,
        .cwd = order->cwd,
    };
    pid_t pid = fork();
    if (pid == 0) {
        trp_spawn_exec(&launch);
    }
    if (pid < 0) {
        refuse(s, order->id, errno, "fork");
        close_pipes(&p);
        return;
    }
    (void)setpgid(pid, pid); /* the child does it too; EACCES = it has executed already */
    *c = (struct child){.is_used = true,
                        .id = order->id,
                        .leader = pid,
                        .pid = pid,
                        .error_fd = p.failure[0],
                        .fds = {p.input[1], p.output[0], p.errors[0]}};
    p.failure[0] = p.input[1] = p.output[0] = p.errors[0] = -1;
    close_pipes(&p);
}

/* ---- requests ---- */

static void obey(struct trp_spawner_state *s, size_t len)
{
    bool has_id;
    struct trp_spawn_order *order = &s->order;
    if (trp_spawn_order_decode(order, &has_id, s->packet, len) != TROUPE_OK) {
        if (has_id) {
            refuse(s, order->id, EBADMSG, "malformed request");
        }
        return;
    }
    if (order->type == TRP_SPAWN_PACKET_SPAWN) {
        start_child(s, order);
        return;
    }
    struct child *c = find_child(s, order->id);
    if (c == NULL || c->pid == 0) {
        return; /* its end is on the way to the server */
    }
    uint64_t grace_ms = order->grace_ms;
    if (order->type == TRP_SPAWN_PACKET_KILL) {
        signal_group(c, SIGKILL);
        return;
    }
    if (grace_ms > TRP_SPAWN_GRACE_MS_MAX) {
        grace_ms = TRP_SPAWN_GRACE_MS_MAX;
    }
    stop_child(c, s->now_ns + grace_ms * NS_PER_MS);
}

/* An empty packet and the end of the stream look the same to recv. */
static bool is_hung_up(const struct trp_spawner_state *s)
{
    struct pollfd p = {.fd = s->socket_fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) != 0;
}

static void receive_requests(struct trp_spawner_state *s)
{
    for (int i = 0; i < RECEIVE_BATCH && s->socket_fd >= 0 && !s->has_refusal; i++) {
        /* Descriptors somebody might attach are dropped by the kernel: no room for them here. */
        ssize_t n = recv(s->socket_fd, s->packet, sizeof(s->packet), MSG_DONTWAIT);
        if (n > 0) {
            obey(s, (size_t)n);
        } else if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
            return;
        } else if ((n < 0 && errno != EINTR) || (n == 0 && is_hung_up(s))) {
            begin_closing(s);
        }
    }
}

/* ---- deaths ---- */

/* Learns whether a child became its program. */
static void decide(struct child *c, bool is_dead)
{
    ssize_t n = read(c->error_fd, &c->failure, sizeof(c->failure));
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !is_dead) {
        return;
    }
    if (n == (ssize_t)sizeof(c->failure)) {
        c->failure.text[sizeof(c->failure.text) - 1] = '\0';
        c->answer = ANSWER_FAILED;
        close_child_fds(c);
    } else {
        c->answer = ANSWER_STARTED;
    }
    close_fd(&c->error_fd);
}

/* Called while the leader is a zombie: until it is reaped its group number cannot be taken. */
static void bury_leader(struct child *c, const siginfo_t *info)
{
    if (c->error_fd >= 0) {
        decide(c, true);
    }
    (void)kill(-c->pid, SIGKILL);
    c->exit_kind = info->si_code == CLD_EXITED ? TRP_SPAWN_EXIT_STATUS : TRP_SPAWN_EXIT_SIGNAL;
    c->exit_value = info->si_status;
    c->pid = 0;
}

static void reap(struct trp_spawner_state *s)
{
    struct signalfd_siginfo ignored;
    while (read(s->signal_fd, &ignored, sizeof(ignored)) > 0) {
        /* SIGCHLD merges: only waitid knows who ended */
    }
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
            if (errno == EINTR) {
                continue;
            }
            s->is_childless = errno == ECHILD;
            return;
        }
        s->is_childless = false;
        if (info.si_pid == 0) {
            return;
        }
        struct child *c = find_leader(s, info.si_pid);
        if (c != NULL) {
            bury_leader(c, &info);
        }
        (void)waitpid(info.si_pid, NULL, WNOHANG);
        s->needs_sweep = true;
    }
}

static void kill_unless_leader(void *arg, pid_t pid)
{
    if (find_leader(arg, pid) == NULL) {
        (void)kill(pid, SIGKILL);
    }
}

/*
 * Kills what was adopted. Leaders are subreapers themselves, so an adopted process is one whose
 * root has died. One look per death suffices: a process that is adopted after this look had a
 * parent below us that this look (or the death of a leader) condemned, and the death of the
 * topmost of them, our child, brings the next look.
 */
static void sweep(struct trp_spawner_state *s)
{
    s->is_blind = trp_orphans_each(s->pid, kill_unless_leader, s) != TROUPE_OK;
    s->needs_sweep = s->is_blind;
}

static void run_timers(struct trp_spawner_state *s)
{
    for (uint32_t i = 0; i < s->children_max; i++) {
        struct child *c = &s->children[i];
        if (c->is_used && c->pid != 0 && c->kill_at_ns != 0 && c->kill_at_ns <= s->now_ns) {
            c->kill_at_ns = 0;
            signal_group(c, SIGKILL);
        }
    }
    if (s->closing_look_at_ns != 0 && s->closing_look_at_ns <= s->now_ns) {
        s->needs_sweep = true;
        s->closing_look_at_ns = s->now_ns + s->closing_look_ns;
        if (s->closing_look_ns < CLOSING_LOOK_NS_MAX) {
            s->closing_look_ns *= 2;
        }
    }
}

/* ---- the loop ---- */

static void earlier(uint64_t *at_ns, uint64_t candidate_ns)
{
    if (candidate_ns != 0 && candidate_ns < *at_ns) {
        *at_ns = candidate_ns;
    }
}

static int poll_timeout_ms(const struct trp_spawner_state *s)
{
    uint64_t at_ns = UINT64_MAX;
    earlier(&at_ns, s->send_retry_at_ns);
    earlier(&at_ns, s->closing_look_at_ns);
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (s->children[i].is_used && s->children[i].pid != 0) {
            earlier(&at_ns, s->children[i].kill_at_ns);
        }
    }
    if (at_ns == UINT64_MAX) {
        return -1;
    }
    /* Rounded up, or the last millisecond would be spent turning. */
    return at_ns <= s->now_ns ? 0 : (int)((at_ns - s->now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static nfds_t set_polls(struct trp_spawner_state *s)
{
    nfds_t count = POLL_FIRST_CHILD;
    short socket_events = s->is_blocked ? POLLOUT : 0;
    if (!s->has_refusal) {
        socket_events |= POLLIN;
    }
    s->polls[POLL_SOCKET] = (struct pollfd){.fd = s->socket_fd, .events = socket_events};
    s->polls[POLL_SIGNAL] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (s->children[i].is_used && s->children[i].error_fd >= 0) {
            s->polls[count++] = (struct pollfd){.fd = s->children[i].error_fd, .events = POLLIN};
        }
    }
    return count;
}

static void step(struct trp_spawner_state *s)
{
    nfds_t count = set_polls(s);
    int ready = poll(s->polls, count, poll_timeout_ms(s));
    s->now_ns = monotonic_ns();
    if (ready < 0) {
        return; /* EINTR cannot be (all signals are blocked), ENOMEM passes */
    }
    reap(s);
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (s->children[i].is_used && s->children[i].error_fd >= 0) {
            decide(&s->children[i], false);
        }
    }
    run_timers(s);
    if ((s->polls[POLL_SOCKET].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        begin_closing(s);
    }
    receive_requests(s);
    if (s->needs_sweep) {
        sweep(s);
    }
    flush_events(s);
}

/* Without /proc adopted processes cannot be found; then the end of the leaders is all there is. */
static bool is_done(const struct trp_spawner_state *s)
{
    if (s->socket_fd >= 0) {
        return false;
    }
    for (uint32_t i = 0; i < s->children_max; i++) {
        if (s->children[i].is_used) {
            return false;
        }
    }
    return s->is_childless || s->is_blind;
}

void trp_spawner_run(struct trp_spawner_state *state, int socket_fd)
{
    if (set_up(state, socket_fd) != 0) {
        _exit(EXIT_SETUP); /* the server sees the socket close */
    }
    state->now_ns = monotonic_ns();
    while (!is_done(state)) {
        step(state);
    }
    _exit(0);
}
