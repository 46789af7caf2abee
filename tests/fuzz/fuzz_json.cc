/*
 * Any bytes through the JSON reader, the JSON-RPC reader and the splicer. Checked besides memory
 * safety: simdjson's own parser accepts the same texts (but for numbers out of its range), nodes
 * tile the text properly, a message is still the same message after its references were replaced
 * and put back.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "io/codec/jsonrpc.h"
#pragma GCC diagnostic pop

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "fuzz_json: line %d: %s\n", __LINE__, #condition);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

namespace
{

constexpr size_t TEXT_MAX = 4096;

/* A second opinion on whether the text is JSON; numbers out of range are no opinion. */
void check_verdict(const uint8_t *data, size_t size, enum troupe_status status)
{
    static simdjson::dom::parser other;
    simdjson::error_code code =
        other.parse(reinterpret_cast<const char *>(data), size, true).error();
    if (status == TROUPE_OK) {
        REQUIRE(code == simdjson::SUCCESS || code == simdjson::NUMBER_ERROR);
    } else if (status == TROUPE_EPARSE) {
        REQUIRE(code != simdjson::SUCCESS);
    }
}

void check_nodes(const struct trp_json_doc *doc, size_t size)
{
    REQUIRE(doc->nodes[0].after == doc->node_count);
    for (uint32_t i = 0; i < doc->node_count; i++) {
        const struct trp_json_node *node = &doc->nodes[i];
        REQUIRE(node->len > 0 && static_cast<size_t>(node->start) + node->len <= size);
        REQUIRE(node->after > i && node->after <= doc->node_count);
        REQUIRE(trp_utf8_valid(trp_json_text(doc, node)));
        uint32_t children = 0;
        const struct trp_json_node *child = trp_json_first(doc, node);
        for (; child != nullptr; child = trp_json_next(doc, node, child)) {
            REQUIRE(child->start > node->start);
            REQUIRE(child->start + child->len < node->start + node->len);
            children++;
        }
        REQUIRE(children == (node->kind == TRP_JSON_OBJECT ? 2 * node->count : node->count));
        uint64_t u = 0;
        int64_t s = 0;
        bool is_integer = trp_json_u64(doc, node, &u) || trp_json_i64(doc, node, &s);
        REQUIRE(is_integer == (node->kind == TRP_JSON_INTEGER));
    }
}

const struct trp_json_node *reference(const struct trp_jsonrpc *msg)
{
    return msg->token != nullptr ? msg->token : msg->id != nullptr ? msg->id : msg->request_id;
}

void check_round_trip(const struct trp_json_doc *doc, const struct trp_jsonrpc *msg)
{
    static char there[2 * TEXT_MAX];
    static char back[2 * TEXT_MAX];
    static struct trp_json_parser *parser = trp_json_create(trp_json_limits_default());
    REQUIRE(parser != nullptr);
    struct trp_text text = trp_text_init(there, sizeof there);
    trp_jsonrpc_renumber(&text, doc, msg, 1234567890123);
    REQUIRE(!text.overflow);
    trp_jsonrpc_one_line(there, text.len);
    REQUIRE(!trp_jsonrpc_has_newline(troupe_span(there, text.len)));
    struct trp_json_doc second;
    struct trp_jsonrpc again;
    REQUIRE(trp_json_read(parser, &second, there, text.len, sizeof there) == TROUPE_OK);
    REQUIRE(trp_jsonrpc_read(&again, &second) == msg->kind);
    REQUIRE(second.node_count == doc->node_count);
    REQUIRE(troupe_span_equal(again.method, msg->method));
    if (reference(msg) == nullptr || (msg->id != nullptr && msg->token != nullptr)) {
        return; /* nothing to put back, or two different values to put back */
    }
    REQUIRE(troupe_span_is(trp_jsonrpc_raw(&second, reference(&again)), "1234567890123"));
    text = trp_text_init(back, sizeof back);
    trp_jsonrpc_restore(&text, &second, &again, trp_jsonrpc_raw(doc, reference(msg)));
    struct troupe_span raw = trp_json_raw(doc, trp_json_root(doc));
    static char wanted[TEXT_MAX];
    memcpy(wanted, raw.data, raw.len);
    trp_jsonrpc_one_line(wanted, raw.len);
    REQUIRE(troupe_span_equal(troupe_span(back, text.len), troupe_span(wanted, raw.len)));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern "C" __attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t *data,
                                                                             size_t size)
{
    static struct trp_json_parser *parser = trp_json_create(trp_json_limits_default());
    REQUIRE(parser != nullptr);
    if (size > TEXT_MAX) {
        return 0;
    }
    struct trp_json_doc doc;
    enum troupe_status status =
        trp_json_read(parser, &doc, reinterpret_cast<const char *>(data), size, size);
    check_verdict(data, size, status);
    if (status != TROUPE_OK) {
        REQUIRE(*trp_json_error(parser) != '\0');
        return 0;
    }
    check_nodes(&doc, size);
    struct trp_jsonrpc msg;
    enum trp_jsonrpc_kind kind = trp_jsonrpc_read(&msg, &doc);
    REQUIRE((kind == TRP_JSONRPC_INVALID) == (msg.problem != nullptr));
    if (kind != TRP_JSONRPC_INVALID) {
        check_round_trip(&doc, &msg);
    }
    return 0;
}
