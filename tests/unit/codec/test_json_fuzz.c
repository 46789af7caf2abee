/* Seeded mutations of sample messages through the fuzz entry, which aborts on what it dislikes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDS = 100000, SAMPLE_MAX = 512 };

static const char *samples[] = {
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"e\",\"_meta\":"
    "{\"progressToken\":\"t\"}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":\"\\ud83d\\ude00\",\"result\":{\"content\":[1,-2.5e3,true,null]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"error\":{\"code\":-32000,\"message\":\"\"}"
    "}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":7,"
    "\"progress\":0.5}}",
    "{\"jsonrpc\":\"2.0\",\r\n\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":"
    "\"r\\u0041\"}}",
    "[\"EVENT\",\"s\",{\"kind\":25910,\"tags\":[[\"p\",\"ab\"]],\"content\":\"{\\\"a\\\":1}\\n\"}]",
};

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t mutate(char *text, size_t len, uint64_t *random)
{
    static const char bytes[] = "{}[]:,\"\\u0e19.-+ \n\ttfn\xc3\xa9\xff/";
    size_t at = (size_t)(draw(random) % len);
    char byte = bytes[draw(random) % (sizeof bytes - 1)];
    switch (draw(random) % 4) {
    case 0: /* overwrite */
        text[at] = byte;
        return len;
    case 1: /* insert */
        memmove(text + at + 1, text + at, len - at);
        text[at] = byte;
        return len + 1;
    case 2: /* remove */
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    default: /* flip a bit */
        text[at] = (char)(text[at] ^ (1 << draw(random) % 8));
        return len;
    }
}

static void test_mutations(void **state)
{
    (void)state;
    uint64_t random = 20260101;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)samples[i], strlen(samples[i])),
                         0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        char text[SAMPLE_MAX];
        const char *sample = samples[draw(&random) % (sizeof samples / sizeof samples[0])];
        size_t len = strlen(sample);
        memcpy(text, sample, len);
        for (uint64_t n = draw(&random) % 4 + 1; n > 0 && len > 1; n--) {
            len = mutate(text, len, &random);
        }
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)text, len), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
