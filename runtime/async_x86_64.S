/* What a G that is stopped by a signal calls; see async.h. On entry [rsp] is where it was, and the red zone above that
 * is not ours. Leaves every register as it was. */
#if defined(__SANITIZE_THREAD__)
#define NOT_HERE
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NOT_HERE
#endif
#endif

#if defined(__x86_64__) && !defined(NOT_HERE)
#define RED_ZONE 128
#define SAVED (15 * 8)                  /* flags and 14 registers, below rbp */

        .text
        .p2align 4
        .globl  async_stub
        .hidden async_stub
        .type   async_stub, @function
async_stub:
        .cfi_startproc
        .cfi_signal_frame
        .cfi_def_cfa rsp, RED_ZONE + 8
        .cfi_offset rip, -(RED_ZONE + 8)
        pushq   %rbp                    /* with what lies above it a link of the frame chain */
        .cfi_def_cfa_offset RED_ZONE + 16
        .cfi_offset rbp, -(RED_ZONE + 16)
        movq    %rsp, %rbp
        .cfi_def_cfa_register rbp
        pushfq
        pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        .cfi_offset rbx, -(RED_ZONE + 16 + 3 * 8)
        .cfi_offset r12, -(RED_ZONE + 16 + 12 * 8)
        .cfi_offset r13, -(RED_ZONE + 16 + 13 * 8)
        .cfi_offset r14, -(RED_ZONE + 16 + 14 * 8)
        .cfi_offset r15, -(RED_ZONE + 16 + 15 * 8)
        cld
        subq    async_xstate_bytes(%rip), %rsp
        andq    $-64, %rsp
        xorl    %eax, %eax              /* XRSTOR wants the rest of the header of the area to be 0 */
        leaq    512(%rsp), %rdi
        movl    $8, %ecx
        rep stosq
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 (%rsp)
        call    async_arrived
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 (%rsp)
        leaq    -SAVED(%rbp), %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbx
        popq    %rax
        popfq
        popq    %rbp
        .cfi_def_cfa rsp, RED_ZONE + 8
        .cfi_same_value rbp
        ret     $RED_ZONE
        .cfi_endproc
        .size   async_stub, .-async_stub
#endif
        .section .note.GNU-stack, "", %progbits
