/* Which sanitizer the tests and their programs are built with. */
#ifndef GMPT_TEST_SANITIZED_H
#define GMPT_TEST_SANITIZED_H

#if defined(__has_feature)
#define SANITIZED_HAS(feature) __has_feature(feature)
#else
#define SANITIZED_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SANITIZED_HAS(address_sanitizer)
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || SANITIZED_HAS(thread_sanitizer)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#define UNDER_SANITIZER (UNDER_ASAN || UNDER_TSAN)

#endif
