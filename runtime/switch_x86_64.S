/* The context switch for x86-64, System V ABI. See switch.h for the picture.
 *
 * The new context is entered by an indirect jump and not by ret: ret would take the return predictor's word for where to
 * go, which is wrong at every switch and costs three times the rest. */
#if defined(__x86_64__)
        .text
        .p2align 5
        .globl  switch_stacks
        .hidden switch_stacks
        .type   switch_stacks, @function
switch_stacks:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp              /* the same layout on the other stack: the CFI stays true */
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   switch_stacks, .-switch_stacks

        .p2align 4
        .globl  switch_entry
        .hidden switch_entry
        .type   switch_entry, @function
switch_entry:
        .cfi_startproc
        .cfi_undefined rip              /* nobody called this: unwinding ends here */
        movq    %r12, %rbx              /* as switch_prepare laid them out: r12 = args, r13 = fn */
        call    switch_entry_begin
        movq    %rbx, %rdi
        xorl    %ebp, %ebp
        call    *%r13
        call    switch_entry_end
        ud2
        .cfi_endproc
        .size   switch_entry, .-switch_entry
        .section .note.GNU-stack, "", @progbits
#endif
