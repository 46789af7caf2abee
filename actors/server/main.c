#include "actors/server/call.h"
#include "actors/server/key_command.h"
#include "actors/server/options.h"
#include "actors/server/relay_command.h"
#include "actors/server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/*
 * A closed standard descriptor would be reused for the first socket opened, and log lines would go
 * into it. False when even /dev/null cannot be opened.
 */
static bool fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct trp_options options;
    static struct trp_option_text text;
    if (!fill_standard_descriptors()) {
        return 1;
    }
    enum trp_options_outcome outcome = trp_options_parse(&options, &text, argc, argv, environ);
    if (outcome != TRP_OPTIONS_RUN) {
        return trp_options_print(outcome, &text);
    }
    struct trp_log_config log = {options.log_format, options.log_level, STDERR_FILENO, NULL};
    trp_log_init(&log);
    switch (options.command) {
    case TRP_COMMAND_SERVE:
        return trp_serve_run(&options);
    case TRP_COMMAND_RELAY:
        return trp_relay_command_run(&options);
    case TRP_COMMAND_KEY:
        return trp_key_command_run(&options, stdout, stderr);
    case TRP_COMMAND_CALL:
        return trp_call_run(&options);
    case TRP_COMMAND_WORKER:
    case TRP_COMMAND_CONNECTOR:
    case TRP_COMMAND_SUBSCRIBE:
    case TRP_COMMAND_COUNT:
        break;
    }
    fprintf(stderr, "troupe: not available yet\n"); /* the option parser said so before */
    return 2;
}
