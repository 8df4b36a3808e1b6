/* SPDX-License-Identifier: Apache-2.0
 *
 * As an ordinary user: what the kernel allows holds, and the rest is named. Run by
 * root, the whole program becomes an ordinary user first.
 */
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "jail/jail_testing.h"

#define OUR_USER 65534

static int
look_around(void *context, const int *descriptors, size_t count)
{
    struct testing_answer answer = {0};

    (void)context;
    (void)count;
    answer.numbers[0] = getpid() == 1;
    answer.numbers[1] = access("/etc/passwd", F_OK) != 0;
    answer.numbers[2] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    answer.numbers[3] = geteuid();
    answer.numbers[4] = sethostname("x", 1) != 0;
    answer.numbers[5] = jail_seal(NULL) == 0;
    answer.numbers[6] = kill(1, 0) != 0 && errno == ENOSYS;
    return testing_answer(descriptors, &answer);
}

static void
test_what_is_not_missing_holds(void **state)
{
    struct jail_config config = testing_config("user", look_around);
    uint32_t features = jail_features();
    struct testing_answer answer;

    (void)state;
    config.limits = (struct jail_limits){
        .cpu_share = 100, .memory_bytes = 64 << 20, .processes = 10, .files = 20};
    assert_int_equal(testing_run(config, &answer).code, 0);
    assert_int_equal(answer.numbers[0], (features & JAIL_PID_NAMESPACE) != 0);
    assert_int_equal(answer.numbers[1], (features & JAIL_MOUNT_NAMESPACE) != 0);
    assert_int_equal(answer.numbers[2], 1);
    assert_int_equal(answer.numbers[3], geteuid());
    assert_int_equal(answer.numbers[4], 1);
    assert_int_equal(answer.numbers[5], (features & JAIL_SECCOMP) != 0);
    assert_int_equal(answer.numbers[6], (features & JAIL_SECCOMP) != 0);
}

static void
test_what_was_asked_and_is_not_to_be_had_is_missing(void **state)
{
    struct jail_config config = testing_config("missing", testing_exit_zero);
    uint32_t features = jail_features();
    struct jail *jail;

    (void)state;
    assert_int_equal(features & JAIL_NETWORK_RATE, 0);
    jail = testing_start(&config);
    /* What was not asked is not missing. */
    assert_int_equal(
        jail_missing(jail) & (JAIL_MEMORY | JAIL_PROCESSES | JAIL_CPU | JAIL_NETWORK_RATE), 0);
    (void)testing_wait(jail);
    jail_destroy(jail);

    config.limits = (struct jail_limits){
        .cpu_share = 100, .memory_bytes = 64 << 20, .processes = 10, .files = 20};
    config.network = (struct jail_network){"weft-u0", "10.250.3.2/30", "10.250.3.1/30"};
    jail = testing_start(&config);
    assert_int_equal(jail_missing(jail), JAIL_FEATURES_ALL & ~features);
    assert_int_equal(testing_wait(jail).code, 0);
    jail_destroy(jail);
}

static void
test_strict_refuses_and_names_what_is_missing(void **state)
{
    struct jail_config config = testing_config("strict", testing_exit_zero);
    struct jail *jail = NULL;
    struct diag diag;

    (void)state;
    config.network = (struct jail_network){"weft-u0", "10.250.3.2/30", "10.250.3.1/30"};
    config.is_strict = true;
    diag_init(&diag);
    assert_int_equal(jail_start(&config, &jail, &diag), -EPERM);
    assert_null(jail);
    assert_non_null(strstr(diag_text(&diag), jail_feature_name(JAIL_NETWORK_RATE)));
    assert_non_null(strstr(diag_text(&diag), "weft doctor"));
    assert_int_equal(testing_child_count(), 0);
}

static void
test_later_limits_that_are_missing_are_named_too(void **state)
{
    const struct jail_limits limits = {.memory_bytes = 64 << 20};
    struct jail_config config = testing_config("later", testing_stay);
    struct jail *jail = testing_start(&config);

    (void)state;
    assert_int_equal(jail_missing(jail) & JAIL_MEMORY, 0);
    assert_int_equal(jail_limit(jail, &limits, NULL), 0);
    assert_int_equal(jail_missing(jail) & JAIL_MEMORY, JAIL_MEMORY & ~jail_features());
    jail_destroy(jail);
}

static void
test_the_features_are_those_of_the_user_that_asks(void **state)
{
    (void)state;
    assert_false(jail_is_privileged());
    assert_int_equal(jail_features() & JAIL_NETWORK_RATE, 0);
    assert_int_equal(jail_features() & JAIL_FILES, JAIL_FILES);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_missing_holds),
        cmocka_unit_test(test_what_was_asked_and_is_not_to_be_had_is_missing),
        cmocka_unit_test(test_strict_refuses_and_names_what_is_missing),
        cmocka_unit_test(test_later_limits_that_are_missing_are_named_too),
        cmocka_unit_test(test_the_features_are_those_of_the_user_that_asks),
    };

    /* Known to root already: a new user is asked anew. */
    (void)jail_features();
    if (geteuid() == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(OUR_USER, OUR_USER, OUR_USER) != 0 ||
            setresuid(OUR_USER, OUR_USER, OUR_USER) != 0)
            return 1;
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
