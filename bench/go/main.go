// The work of the programs in bench/ in Go, under the same names.
//
//	peer [-trace] [ROW...]     prints "ROW VALUE" lines; all rows, or those named
//	peer echo-server           listens until it is killed
//
// With -trace, Go's execution tracer runs and its output is thrown away.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/trace"
	"sort"
	"time"
)

var wanted []string

func isWanted(name string) bool {
	for _, one := range wanted {
		if one == name {
			return true
		}
	}
	return len(wanted) == 0
}

func printRow(name string, value float64) {
	fmt.Printf("%s %.1f\n", name, value)
}

// percentile sorts the values and returns the one below which so many hundredths of them lie.
func percentile(values []time.Duration, percent int) time.Duration {
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	return values[len(values)*percent/100]
}

func main() {
	wanted = os.Args[1:]
	if len(wanted) == 1 && wanted[0] == "echo-server" {
		echoServer()
		return
	}
	if len(wanted) > 0 && wanted[0] == "-trace" {
		wanted = wanted[1:]
		if err := trace.Start(io.Discard); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer trace.Stop()
	}
	parked() // first, while no stack has been touched yet
	operations()
	skynet()
	sleepers()
	delays()
}
