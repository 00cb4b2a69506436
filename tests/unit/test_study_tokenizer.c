/* Text to tokens: bytes. */
#include "study/tokenizer.h"
#include "tests/unit/study_fixture.h"

static void test_bytes(void **state)
{
    (void)state;
    struct error err = {0};
    struct tokenizer *tokenizer;
    unsigned char text[256];
    uint32_t tokens[256];
    size_t count;
    for (int i = 0; i < 256; i++) {
        text[i] = (unsigned char)i;
    }
    assert_int_equal(tokenizer_open(&err, TOKENIZER_BYTES, NULL, &tokenizer), STATUS_OK);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 256);
    assert_int_equal(tokenizer_encode(&err, tokenizer, text, 256, tokens, 256, &count), STATUS_OK);
    assert_int_equal(count, 256);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(tokens[i], i);
    }
    char back[256] = "";
    size_t bytes;
    assert_int_equal(tokenizer_decode(&err, tokenizer, tokens, 256, back, 256, &bytes), STATUS_OK);
    assert_int_equal(bytes, 256);
    assert_memory_equal(back, text, 256);
    assert_int_equal(tokenizer_decode(&err, tokenizer, tokens, 256, NULL, 0, &bytes), STATUS_OK);
    assert_int_equal(bytes, 256);
    tokens[2] = 256;
    assert_int_equal(tokenizer_decode(&err, tokenizer, tokens, 3, back, 256, &bytes),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "token 256"));
    error_clear(&err);
    tokens[2] = 9999;
    assert_int_equal(tokenizer_encode(&err, tokenizer, text, 5, tokens, 2, &count), STATUS_OK);
    assert_int_equal(count, 5);
    assert_int_equal(tokens[2], 9999);
    assert_int_equal(tokenizer_encode(&err, tokenizer, NULL, 0, NULL, 0, &count), STATUS_OK);
    assert_int_equal(count, 0);
    tokenizer_close(tokenizer);
}

static void test_errors(void **state)
{
    (void)state;
    struct error err = {0};
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(tokenizer_open(&err, TOKENIZER_BYTES, "some.model", &tokenizer),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "some.model"));
    assert_null(tokenizer);
    tokenizer_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
