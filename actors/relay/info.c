/* The relay information document (NIP-11). */

#include "actors/relay/shard.h"

#include "io/codec/nostr_wire.h"

static void write_text(struct trp_text *text, const char *name, const char *value)
{
    trp_text_json(text, troupe_span_cstr(name));
    trp_text_cstr(text, ":");
    trp_text_json(text, troupe_span_cstr(value));
    trp_text_cstr(text, ",");
}

static void write_number(struct trp_text *text, const char *name, uint64_t value)
{
    trp_text_json(text, troupe_span_cstr(name));
    trp_text_cstr(text, ":");
    trp_text_u64(text, value);
    trp_text_cstr(text, ",");
}

void trp_relay_info_write(struct trp_text *text, const struct trp_relay_config *config)
{
    struct trp_nostr_event_limits event = trp_nostr_event_limits_default();
    trp_text_cstr(text, "{");
    write_text(text, "name", config->name);
    write_text(text, "description", config->description);
    write_text(text, "software", "troupe");
    if (config->version != NULL) {
        write_text(text, "version", config->version);
    }
    trp_text_cstr(text, "\"supported_nips\":[1,9,11],\"limitation\":{");
    write_number(text, "max_message_length", config->message_bytes_max);
    write_number(text, "max_subscriptions", config->subs_max);
    write_number(text, "max_filters", config->filters_max);
    write_number(text, "max_limit", config->limit_max);
    write_number(text, "default_limit", config->limit_max);
    write_number(text, "max_subid_length", TRP_NOSTR_SUB_CHARS_MAX);
    write_number(text, "max_event_tags", event.tags_max);
    /* a content must fit into a message with the rest of its event */
    uint32_t content_max = config->message_bytes_max - config->message_bytes_max / 16;
    write_number(text, "max_content_length",
                 content_max < event.content_bytes_max ? content_max : event.content_bytes_max);
    write_number(text, "created_at_upper_limit", config->future_s_max);
    write_number(text, "min_pow_difficulty", 0);
    trp_text_cstr(text, "\"auth_required\":false,\"payment_required\":false,"
                        "\"restricted_writes\":false}}");
}
