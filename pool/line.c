#include "pool/line.h"

#include <errno.h>
#include <unistd.h>

static void flush(struct trp_line *line)
{
    int saved = errno;
    uint32_t done = 0;
    while (done < line->used) {
        ssize_t written = write(line->fd, line->text + done, line->used - done);
        if (written == 0 || (written < 0 && errno != EINTR)) {
            break;
        }
        done += written > 0 ? (uint32_t)written : 0;
    }
    line->used = 0;
    errno = saved;
}

static void put(struct trp_line *line, char c)
{
    if (line->used == sizeof(line->text)) {
        flush(line);
    }
    line->text[line->used++] = c;
}

void trp_line_init(struct trp_line *line, int fd)
{
    line->fd = fd;
    line->used = 0;
}

void trp_line_text(struct trp_line *line, const char *text)
{
    while (*text != '\0') {
        put(line, *text++);
    }
}

void trp_line_name(struct trp_line *line, const char *name)
{
    if (name == NULL) {
        name = "(unnamed)";
    }
    for (uint32_t i = 0; i < TRP_LINE_NAME_MAX && name[i] != '\0'; i++) {
        put(line, name[i] > ' ' && name[i] <= '~' ? name[i] : '?');
    }
}

void trp_line_number(struct trp_line *line, uint64_t number, uint32_t width)
{
    char digits[20]; /* of the largest 64-bit number */
    uint32_t count = 0;
    while (count < sizeof(digits) && (number != 0 || count < width || count == 0)) {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    }
    while (count > 0) {
        put(line, digits[--count]);
    }
}

void trp_line_ref(struct trp_line *line, uint64_t ref)
{
    if (ref == 0) {
        trp_line_text(line, "nobody");
        return;
    }
    trp_line_number(line, ref >> 56, 0);
    put(line, '/');
    trp_line_number(line, (ref >> 32) & 0xFFFFFFu, 0);
    put(line, '.');
    trp_line_number(line, (uint32_t)ref, 0);
}

void trp_line_seconds(struct trp_line *line, uint64_t us)
{
    trp_line_number(line, us / 1000000u, 0);
    put(line, '.');
    trp_line_number(line, us % 1000000u, 6);
}

void trp_line_end(struct trp_line *line)
{
    put(line, '\n');
    flush(line);
}
