/* gmptrace: record what the goroutines of a C program do, and read it. The subcommands are the other files here. */
#include "cli.h"

int main(int argc, char **argv) { return cli_dispatch(argc, argv); }
