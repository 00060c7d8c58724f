/* A test suite made with Check as users of the runtime have it: each test in a process of its own that starts the
 * runtime. Planted with --leaks N: first an answer that nobody waits for, then one who waits for nobody. --fail
 * adds a test that fails, --exit one that ends its process by exit(), with a third leak, --exit-at-once one by
 * _exit(). --serve is no suite, but runs on with twenty leaks: while a program runs, what is left of a pointer in
 * a register or on a stack may hide one of them. --grow is none, either: of its goroutines more and more wait, all
 * in reach, and one computes without end. --deadlock ends with all asleep, in reach as well. */
#include <check.h>
#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int leaks;

/* ---- Code under test --------------------------------------------------------------------------------------------- */

static void answer(void *args)
{
    struct gmpt_chan *to = *(struct gmpt_chan **)args;
    int value = 42;
    gmpt_chan_send(to, &value); /* blocks for ever when whoever asked has gone */
    gmpt_chan_release(to);
}

/* Asks for an answer, and, impatient, does not wait for it. */
static bool ask(bool patient)
{
    struct gmpt_chan *answers = gmpt_chan_new(sizeof(int), 0);
    int value = 0;
    gmpt_chan_retain(answers);
    gmpt_go(answer, &answers, sizeof answers);
    if (patient)
        gmpt_chan_recv(answers, &value);
    gmpt_chan_release(answers);
    return value == 42;
}

static void waiter(void *args)
{
    struct gmpt_chan *from = *(struct gmpt_chan **)args;
    int value;
    gmpt_chan_recv(from, &value);
    gmpt_chan_release(from);
}

static void wait_for_nobody(void)
{
    struct gmpt_chan *questions = gmpt_chan_new(sizeof(int), 0);
    gmpt_go(waiter, &questions, sizeof questions);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static int patient_main(void *arg)
{
    (void)arg;
    return !ask(true);
}

static int impatient_main(void *arg)
{
    (void)arg;
    if (leaks >= 1)
        ask(false);
    return 0;
}

static int askers_main(void *arg)
{
    (void)arg;
    if (leaks >= 2)
        wait_for_nobody();
    return 0;
}

START_TEST(a_patient_one_has_its_answer) { ck_assert_int_eq(gmpt_run(patient_main, NULL), 0); }
END_TEST

START_TEST(an_impatient_one_goes_on) { ck_assert_int_eq(gmpt_run(impatient_main, NULL), 0); }
END_TEST

START_TEST(askers) { ck_assert_int_eq(gmpt_run(askers_main, NULL), 0); }
END_TEST

/* What is left of a pointer on a stack that stays in use may hide one leak, and hardly all. */
static void ask_often(void)
{
    for (int i = 0; i < 20; i++) {
        ask(false);
        gmpt_sleep(1000000);
    }
}

static int exit_main(void *arg)
{
    (void)arg;
    if (leaks >= 3)
        ask_often();
    exit(0);
    return 1;
}

START_TEST(exits) { gmpt_run(exit_main, NULL); }
END_TEST

static int exit_at_once_main(void *arg)
{
    (void)arg;
    _exit(0);
    return 1;
}

START_TEST(exits_at_once) { gmpt_run(exit_at_once_main, NULL); }
END_TEST

START_TEST(fails) { ck_abort_msg("as it was asked to"); }
END_TEST

static int serve_main(void *arg)
{
    (void)arg;
    if (leaks >= 1)
        ask_often();
    while (gmpt_sleep(1000000) == 0)
        ;
    return 1;
}

static struct gmpt_chan *kept[100];

static void compute(void *args)
{
    (void)args;
    for (volatile unsigned long i = 0;; i++)
        ;
}

static int grow_main(void *arg)
{
    (void)arg;
    gmpt_go(compute, NULL, 0);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        kept[i] = gmpt_chan_new(sizeof(int), 0);
        gmpt_go(answer, &kept[i], sizeof kept[i]);
        gmpt_sleep(5000000);
    }
    return 0;
}

static int deadlock_main(void *arg)
{
    int value;
    (void)arg;
    for (int i = 0; i < 2; i++)
        kept[i] = gmpt_chan_new(sizeof(int), 0);
    gmpt_go(answer, &kept[0], sizeof kept[0]);
    gmpt_chan_recv(kept[1], &value); /* all are asleep */
    return 0;
}

int main(int argc, char **argv)
{
    bool serve = false, grow = false, deadlock = false;
    Suite *suite = suite_create("leaky");
    TCase *tests = tcase_create("tests");
    tcase_add_test(tests, a_patient_one_has_its_answer);
    tcase_add_test(tests, an_impatient_one_goes_on);
    tcase_add_test(tests, askers);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--leaks") == 0 && i + 1 < argc)
            leaks = atoi(argv[++i]);
        else if (strcmp(argv[i], "--fail") == 0)
            tcase_add_test(tests, fails);
        else if (strcmp(argv[i], "--exit") == 0)
            tcase_add_test(tests, exits);
        else if (strcmp(argv[i], "--exit-at-once") == 0)
            tcase_add_test(tests, exits_at_once);
        else if (strcmp(argv[i], "--serve") == 0)
            serve = true;
        else if (strcmp(argv[i], "--grow") == 0)
            grow = true;
        else if (strcmp(argv[i], "--deadlock") == 0)
            deadlock = true;
    }
    if (serve || grow || deadlock)
        return gmpt_run(serve ? serve_main : grow ? grow_main : deadlock_main, NULL);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 3 : 0;
}
