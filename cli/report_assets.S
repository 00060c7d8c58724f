/* What a report's page is made of: files that the build puts together from report/. */
        .section .rodata
        .macro embed name, file
        .balign 16
        .globl report_\name\()_begin
        .globl report_\name\()_end
report_\name\()_begin:
        .incbin "\file"
report_\name\()_end:
        .byte 0
        .endm

        embed html, "report/page.html"
        embed css, "report/joined.css"
        embed js, "report/joined.js"
        embed css_hash, "report/joined.css.hash"
        embed js_hash, "report/joined.js.hash"

        .section .note.GNU-stack,"",%progbits
