/* The groups of events that can be left out: their names, and sets of them as text. */
#include "harness.h"

#include "trace/eventgroups.h"

#include <gmptrace/trace.h>

#include <stdio.h>
#include <string.h>

static void expect(const char *set, const char *names)
{
    uint32_t groups;
    char text[EVENT_GROUPS_TEXT];
    const char *wrong = event_groups_parse(set, &groups);
    ck_assert_msg(wrong == NULL, "%s: %s", set, wrong);
    ck_assert_str_eq(event_groups_text(text, groups), names);
}

TEST(eventgroups, a_set_is_what_its_words_mean_together)
{
    expect("none", "");
    expect("all", "steal,retake,preempt,labels,name,task,region,log,waker,machine,netpoll,timer,scope");
    expect("log,steal", "steal,log");
    expect("user", "task,region,log");
    expect("user_task_end", "task");
    expect("go_labels,user_log_text", "labels,log");
    expect("steal,-user,log", "steal,log");
}

TEST(eventgroups, a_set_that_begins_with_a_minus_is_all_but_its_words)
{
    expect("-user,-name", "steal,retake,preempt,labels,waker,machine,netpoll,timer,scope");
    expect("-all", "");
    expect("-user,log", "steal,retake,preempt,labels,name,log,waker,machine,netpoll,timer,scope");
}

TEST(eventgroups, the_first_wrong_word_is_found)
{
    static const struct {
        const char *set, *wrong;
    } cases[] = {
        { "", "" },         { "block", "block" }, { "steal,go_block,x", "go_block,x" },
        { "steal,", "" },   { ",", "," },         { "--log", "-log" },
        { "stea", "stea" }, { "steals", "steals" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t groups;
        const char *wrong = event_groups_parse(cases[i].set, &groups);
        ck_assert_ptr_nonnull(wrong);
        ck_assert_str_eq(wrong, cases[i].wrong);
    }
}

/* The state machine needs these; whoever adds an event decides. */
TEST(eventgroups, no_transition_can_be_left_out)
{
    static const enum gmpt_event_type needed[] = {
        GMPT_EVENT_lost,           GMPT_EVENT_go_was,         GMPT_EVENT_go_waited,   GMPT_EVENT_proc_was,
        GMPT_EVENT_proc_start,     GMPT_EVENT_proc_stop,      GMPT_EVENT_proc_limit,  GMPT_EVENT_go_create,
        GMPT_EVENT_go_start,       GMPT_EVENT_go_yield,       GMPT_EVENT_go_preempt,  GMPT_EVENT_go_preempt_async,
        GMPT_EVENT_go_block,       GMPT_EVENT_go_unblock,     GMPT_EVENT_go_exit,     GMPT_EVENT_syscall_begin,
        GMPT_EVENT_syscall_end,    GMPT_EVENT_syscall_resume, GMPT_EVENT_syscall_exit, GMPT_EVENT_go_detach,
        GMPT_EVENT_go_attach,      GMPT_EVENT_go_attach_wait,
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        uint32_t groups;
        const char *name = gmpt_event_name(needed[i]);
        ck_assert_msg(!event_groups_find(name, strlen(name), &groups), "%s", name);
    }
}
