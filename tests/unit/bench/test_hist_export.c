#include "tests/cmocka.h"

#include "bench/load/hist_export.h"

#include <string.h>

#include <openssl/evp.h>
#include <zlib.h>

/* A reader of the exchange format, written against its description, not against the writer. */
struct decoded {
    uint8_t bytes[1 << 16];
    size_t len;
    size_t at;
};

static uint64_t read_big(struct decoded *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | in->bytes[in->at++];
    }
    return value;
}

static int64_t read_number(struct decoded *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 9; i++) {
        uint64_t byte = in->bytes[in->at++];
        if (i == 8) {
            value |= byte << 56;
            break;
        }
        value |= (byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static void decode(struct decoded *in, const char *text)
{
    static uint8_t packed[1 << 16];
    size_t len = strlen(text);
    int got = EVP_DecodeBlock(packed, (const unsigned char *)text, (int)len);
    assert_true(got > 8);
    assert_int_equal(packed[0] << 24 | packed[1] << 16 | packed[2] << 8 | packed[3], 0x1c849314);
    uLongf out = sizeof(in->bytes);
    uLong packed_len =
        (uLong)packed[4] << 24 | (uLong)packed[5] << 16 | (uLong)packed[6] << 8 | (uLong)packed[7];
    assert_true(packed_len <= (uLong)got - 8);
    assert_int_equal(uncompress(in->bytes, &out, packed + 8, packed_len), Z_OK);
    in->len = out;
    in->at = 0;
}

static void assert_same(const struct trp_hist *hist)
{
    static struct decoded in;
    char *text = trp_hist_export_base64(hist);
    assert_non_null(text);
    decode(&in, text);
    free(text);

    assert_int_equal(read_big(&in, 4), 0x1c849313);
    assert_int_equal(read_big(&in, 4), in.len - 40);
    assert_int_equal(read_big(&in, 4), 0);
    assert_int_equal(read_big(&in, 4), hist->digits);
    assert_int_equal(read_big(&in, 8), hist->lowest);
    assert_int_equal(read_big(&in, 8), hist->highest);
    assert_int_equal(read_big(&in, 8), 0x3ff0000000000000);
    uint32_t index = 0;
    uint64_t total = 0;
    while (in.at < in.len) {
        int64_t number = read_number(&in);
        if (number < 0) {
            for (int64_t i = 0; i < -number; i++) {
                assert_int_equal(hist->counts[index++], 0);
            }
        } else {
            assert_int_equal(hist->counts[index++], number);
            total += (uint64_t)number;
        }
    }
    assert_int_equal(total, hist->total);
}

static void empty_histogram(void **state)
{
    struct trp_hist hist;
    (void)state;
    assert_true(trp_hist_init_latency(&hist));
    assert_same(&hist);
    trp_hist_fini(&hist);
}

static void counts_of_every_length(void **state)
{
    struct trp_hist hist;
    (void)state;
    assert_true(trp_hist_init_latency(&hist));
    for (uint32_t shift = 0; shift < 62; shift++) {
        trp_hist_record(&hist, (uint64_t)shift * 1000003, (uint64_t)1 << (shift % 58));
    }
    trp_hist_record(&hist, 17, 1);
    trp_hist_record(&hist, 18, 1);
    trp_hist_record(&hist, 20, 1); /* a gap of one */
    assert_same(&hist);
    trp_hist_fini(&hist);
}

static void values_above_the_range(void **state)
{
    struct trp_hist hist;
    (void)state;
    assert_true(trp_hist_init(&hist, 1000, 60000000, 2));
    trp_hist_record(&hist, 60000001, 5);
    trp_hist_record(&hist, 1500, 2);
    assert_same(&hist);
    trp_hist_fini(&hist);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_histogram),
        cmocka_unit_test(counts_of_every_length),
        cmocka_unit_test(values_above_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
