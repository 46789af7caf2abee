#include "actors/mcp/lines.h"

static enum troupe_status
append(struct troupe_ctx *ctx, struct trp_mcp_lines *lines, const char *data, size_t len)
{
    struct troupe_buf *old = lines->partial;
    size_t size = old != NULL ? old->size : 0;
    if (size + len > lines->bytes_max) {
        return TROUPE_ETOOLARGE;
    }
    if (old == NULL || size + len >= old->capacity) {
        size_t cap = 2 * (size + len);
        if (cap > lines->bytes_max) {
            cap = lines->bytes_max;
        }
        struct troupe_buf *grown = trp_backend_text_buf(ctx, cap);
        if (grown == NULL) {
            return TROUPE_ENOMEM;
        }
        if (old != NULL) {
            memcpy(grown->data, old->data, size);
            troupe_buf_release(old);
        }
        grown->size = (uint32_t)size;
        lines->partial = grown;
    }
    if (len != 0) {
        memcpy(lines->partial->data + size, data, len);
    }
    lines->partial->size = (uint32_t)(size + len);
    return TROUPE_OK;
}

static void
finish(struct troupe_ctx *ctx, struct trp_mcp_lines *lines, trp_mcp_line_cb line_cb, void *arg)
{
    struct troupe_buf *line = lines->partial;
    lines->partial = NULL;
    if (line->size != 0 && line->data[line->size - 1] == '\r') {
        line->size--;
    }
    if (line->size == 0) {
        troupe_buf_release(line);
        return;
    }
    line_cb(ctx, arg, line);
}

enum troupe_status trp_mcp_lines_feed(struct troupe_ctx *ctx,
                                      struct trp_mcp_lines *lines,
                                      struct troupe_span bytes,
                                      trp_mcp_line_cb line_cb,
                                      void *arg)
{
    const char *it = bytes.data;
    size_t left = bytes.len;
    while (left != 0) {
        const char *end = memchr(it, '\n', left);
        size_t len = end != NULL ? (size_t)(end - it) : left;
        if (len != 0 || lines->partial != NULL) {
            enum troupe_status status = append(ctx, lines, it, len);
            if (status != TROUPE_OK) {
                return status;
            }
            if (end != NULL) {
                finish(ctx, lines, line_cb, arg);
            }
        }
        if (end == NULL) {
            return TROUPE_OK;
        }
        it = end + 1;
        left -= len + 1;
    }
    return TROUPE_OK;
}

void trp_mcp_lines_fini(struct trp_mcp_lines *lines)
{
    troupe_buf_release(lines->partial);
    lines->partial = NULL;
}
