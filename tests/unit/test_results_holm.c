/* Holm's adjustment against numbers worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "results/holm.h"

static void assert_close(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12)) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

/* Four p: 0.01·4, max(0.02·3, …), max(0.03·2, 0.06), max(0.9, …); in the order given. */
static void four(void **state)
{
    (void)state;
    const double p[] = {0.03, 0.9, 0.01, 0.02}, expected[] = {0.06, 0.9, 0.04, 0.06};
    double adjusted[4];
    assert_int_equal(holm_adjust(NULL, p, 4, adjusted), 0);
    for (int i = 0; i < 4; i++) {
        assert_close(adjusted[i], expected[i]);
    }
}

static void unknown_and_capped(void **state)
{
    (void)state;
    const double p[] = {0.6, NAN, 0.4};
    double adjusted[3];
    assert_int_equal(holm_adjust(NULL, p, 3, adjusted), 0);
    assert_close(adjusted[0], 0.8);
    assert_true(isnan(adjusted[1]));
    assert_close(adjusted[2], 0.8);
    const double large[] = {0.7, 0.9};
    assert_int_equal(holm_adjust(NULL, large, 2, adjusted), 0);
    assert_close(adjusted[0], 1);
    assert_close(adjusted[1], 1);
    assert_int_equal(holm_adjust(NULL, p, 0, adjusted), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four),
        cmocka_unit_test(unknown_and_capped),
    };
    return cmocka_run_group_tests_name("results_holm", tests, NULL, NULL);
}
