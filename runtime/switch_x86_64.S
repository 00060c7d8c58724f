/* Where a fresh G begins on x86-64; see switch_prepare in switch.h for what lies on its stack. */
#if defined(__x86_64__)
        .text
        .p2align 4
        .globl  switch_entry
        .hidden switch_entry
        .type   switch_entry, @function
switch_entry:
        .cfi_startproc
        .cfi_undefined rip              /* nobody called this: unwinding ends here */
        popq    %rbx                    /* fn */
        popq    %r12                    /* args; the stack is now at top - 8, and rbp is 0 */
        subq    $8, %rsp
        call    switch_entry_begin
        movq    %r12, %rdi
        call    *%rbx
        .globl  switch_entry_return
        .hidden switch_entry_return
switch_entry_return:
        call    switch_entry_end
        ud2
        .cfi_endproc
        .size   switch_entry, .-switch_entry
#endif
        .section .note.GNU-stack, "", %progbits
