/* The bare socket: one thread sends 64 bytes over loopback, another one sends them back. */

#include "bench/kernels/limit.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define ECHO_OPS  2000u
#define ECHO_SIZE 64u

struct echo {
    int client;
    int server;
    bool is_good;
    uint64_t took_ns;
    uint64_t server_cpu_ns;
};

static bool receive_all(int fd, uint8_t bytes[ECHO_SIZE])
{
    size_t len = 0;
    while (len < ECHO_SIZE) {
        ssize_t got = recv(fd, bytes + len, ECHO_SIZE - len, 0);
        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
    }
    return true;
}

static bool send_all(int fd, const uint8_t bytes[ECHO_SIZE])
{
    return send(fd, bytes, ECHO_SIZE, MSG_NOSIGNAL) == (ssize_t)ECHO_SIZE;
}

static void run_client(void *arg)
{
    struct echo *echo = arg;
    uint8_t bytes[ECHO_SIZE] = {0};
    uint64_t begin_ns = trp_machine_now_ns();
    bool is_good = true;

    for (uint32_t i = 0; i < ECHO_OPS && is_good; i++) {
        bytes[0] = (uint8_t)i;
        is_good = send_all(echo->client, bytes) && receive_all(echo->client, bytes) &&
                  bytes[0] == (uint8_t)i;
    }
    echo->took_ns = trp_machine_now_ns() - begin_ns;
    echo->is_good = is_good;
    shutdown(echo->client, SHUT_RDWR); /* ends the other side, also after a failure */
}

static void run_server(void *arg)
{
    struct echo *echo = arg;
    uint8_t bytes[ECHO_SIZE];
    uint64_t begin_ns = trp_machine_thread_cpu_ns();

    while (receive_all(echo->server, bytes) && send_all(echo->server, bytes)) {
    }
    echo->server_cpu_ns = trp_machine_thread_cpu_ns() - begin_ns;
}

static int connect_pair(struct echo *echo)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    echo->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    echo->server = -1;
    if (listener >= 0 && echo->client >= 0 &&
        bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
        connect(echo->client, (struct sockaddr *)&address, len) == 0) {
        echo->server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        setsockopt(echo->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(echo->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (listener >= 0) {
        close(listener);
    }
    return echo->server;
}

static bool measure(const struct trp_machine *machine, struct echo *echo)
{
    bool is_good = connect_pair(echo) >= 0 &&
                   trp_limit_on_two(machine, run_client, run_server, echo) && echo->is_good;
    if (echo->client >= 0) {
        close(echo->client);
    }
    if (echo->server >= 0) {
        close(echo->server);
    }
    return is_good;
}

double trp_limit_echo(const struct trp_machine *machine)
{
    struct echo echo = {0};
    return measure(machine, &echo) ? (double)echo.took_ns / ECHO_OPS : NAN;
}

double trp_limit_echo_cpu(const struct trp_machine *machine)
{
    struct echo echo = {0};
    return measure(machine, &echo) ? (double)echo.server_cpu_ns / ECHO_OPS : NAN;
}
