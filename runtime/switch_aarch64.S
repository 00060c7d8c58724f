/* Where a fresh G begins on aarch64; see switch_prepare in switch.h for what lies on its stack. */
#if defined(__aarch64__)
        .text
        .p2align 4
        .globl  switch_entry
        .hidden switch_entry
        .type   switch_entry, %function
switch_entry:
        .cfi_startproc
        .cfi_undefined x30              /* nobody called this: unwinding ends here */
        hint    #36                     /* bti j: entered by a jump */
        ldp     x19, x20, [sp], #16     /* fn, args; the stack is now at top, and x29 is 0 */
        bl      switch_entry_begin
        mov     x0, x20
        blr     x19
        bl      switch_entry_end
        brk     #1
        .cfi_endproc
        .size   switch_entry, .-switch_entry

        /* A linked program keeps branch target identification only if all of its objects say that they stand it. */
#if defined(__ARM_FEATURE_BTI_DEFAULT)
        .section .note.gnu.property, "a"
        .p2align 3
        .word   4, 16, 5                /* sizes of name and descriptor, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .word   0xc0000000, 4, 3, 0     /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI, PAC; padding */
#endif
#endif
        .section .note.GNU-stack, "", %progbits
