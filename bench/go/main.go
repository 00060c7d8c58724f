// The work of the programs in bench/ in Go, under the same names.
//
//	peer [-trace FILE] [ROW...]       prints "ROW VALUE" lines; all rows, or those named
//	peer [-trace FILE] echo-server    listens until it gets SIGTERM
//
// With -trace, Go's execution tracer runs and writes to the file.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/trace"
	"sort"
	"syscall"
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
	if len(wanted) > 1 && wanted[0] == "-trace" {
		file, err := os.Create(wanted[1])
		if err == nil {
			err = trace.Start(file)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer trace.Stop()
		wanted = wanted[2:]
	}
	if len(wanted) == 1 && wanted[0] == "echo-server" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		go echoServer()
		<-stop
		return
	}
	parked() // first, while no stack has been touched yet
	operations()
	skynet()
	sleepers()
	delays()
}
