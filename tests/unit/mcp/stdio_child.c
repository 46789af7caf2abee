/*
 * A child that speaks lines of JSON-RPC and misbehaves when asked to. Methods:
 *
 *   initialize, t/pid     answers; t/inits: how often it was initialized
 *   t/mute                no answer            t/garbage  lines that are no JSON-RPC, then answers
 *   t/die                 exits with 3         t/last     answers, exits with 4 at once
 *   t/long {"n":N}        answers N bytes      t/flood    floods standard error, then answers
 *   t/many {"n":N}        N notifications, then answers
 *   t/fork                answers with the pid of a process of its own session that never ends
 *   t/close               closes its output    t/deaf     answers, reads nothing any more
 *
 * First argument: "crash" exits at once, "stubborn" ignores SIGTERM and the end of its input,
 * "noinit" does not answer initialize.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *line;
static size_t line_cap;
static int inits;
static int is_noinit;

static void answer(const char *id, size_t id_len, const char *result)
{
    printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":%s}\n", (int)id_len, id, result);
    fflush(stdout);
}

static void forever(void)
{
    for (;;) {
        pause();
    }
}

static long number_param(void)
{
    const char *n = strstr(line, "\"n\":");
    return n != NULL ? strtol(n + 4, NULL, 10) : 0;
}

static void long_answer(const char *id, size_t id_len)
{
    long size = number_param();
    printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":\"", (int)id_len, id);
    for (long i = 0; i < size; i++) {
        putchar('x');
    }
    printf("\"}\n");
    fflush(stdout);
}

static void flood(void)
{
    for (int i = 0; i < 2000; i++) {
        fprintf(stderr, "complaint %d with \"quotes\" and \x1b[31mcolour\n", i);
    }
    for (int i = 0; i < 5000; i++) {
        fputc('y', stderr);
    }
    fputc('\n', stderr);
}

static void fork_away(const char *id, size_t id_len)
{
    char result[32];
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        forever();
    }
    snprintf(result, sizeof(result), "%d", (int)pid);
    answer(id, id_len, result);
}

static void handle(const char *method, const char *id, size_t id_len)
{
    char result[64];
    snprintf(result, sizeof(result), "%d", (int)getpid());
    if (strncmp(method, "initialize\"", 11) == 0) {
        inits++;
        if (is_noinit) {
            return;
        }
        answer(id, id_len, "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}");
    } else if (strncmp(method, "t/inits\"", 8) == 0) {
        snprintf(result, sizeof(result), "%d", inits);
        answer(id, id_len, result);
    } else if (strncmp(method, "t/pid\"", 6) == 0) {
        answer(id, id_len, result);
    } else if (strncmp(method, "t/garbage\"", 10) == 0) {
        printf("garbage\n\r\n\n{\"half\"\n{\"no\":\"rpc\"}\n");
        answer(id, id_len, result);
    } else if (strncmp(method, "t/die\"", 6) == 0) {
        _exit(3);
    } else if (strncmp(method, "t/last\"", 7) == 0) {
        answer(id, id_len, "\"last\"");
        _exit(4);
    } else if (strncmp(method, "t/long\"", 7) == 0) {
        long_answer(id, id_len);
    } else if (strncmp(method, "t/flood\"", 8) == 0) {
        flood();
        answer(id, id_len, result);
    } else if (strncmp(method, "t/many\"", 7) == 0) {
        for (long i = number_param(); i > 0; i--) {
            printf("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":[%ld]}\n",
                   i);
        }
        answer(id, id_len, result);
    } else if (strncmp(method, "t/fork\"", 7) == 0) {
        fork_away(id, id_len);
    } else if (strncmp(method, "t/close\"", 8) == 0) {
        fclose(stdout);
        forever();
    } else if (strncmp(method, "t/deaf\"", 7) == 0) {
        answer(id, id_len, result);
        forever();
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "crash") == 0) {
        return 1;
    }
    is_noinit = strcmp(mode, "noinit") == 0;
    if (strcmp(mode, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
    }
    while (getline(&line, &line_cap, stdin) > 0) {
        const char *id = strstr(line, "\"id\":");
        const char *method = strstr(line, "\"method\":\"");
        if (id != NULL && method != NULL) {
            id += 5;
            handle(method + 10, id, strcspn(id, ",}"));
        }
    }
    if (strcmp(mode, "stubborn") == 0) {
        forever();
    }
    return 0;
}
