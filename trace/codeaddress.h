/* Return addresses as they lie on a stack: on aarch64 a program may be compiled to sign them (-mbranch-protection), and
 * the signature lies in the bits above the address. */
#ifndef GMPT_CODEADDRESS_H
#define GMPT_CODEADDRESS_H

#include <stdint.h>

/* The address without a signature; one that has none stays as it is. */
static inline uint64_t codeaddress_of(uint64_t word)
{
#if defined(__aarch64__)
    register uint64_t stripped __asm__("x30") = word;
    __asm__("hint #7" : "+r"(stripped)); /* xpaclri, which knows how many bits an address has here */
    return stripped;
#else
    return word;
#endif
}

#endif
