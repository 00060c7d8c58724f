// The work of bench/bench.c in Go, under the same names. With -trace, Go's execution tracer runs and its output is
// thrown away.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/trace"
	"sync"
	"time"
)

func yieldAmong(gs, total int) int {
	var group sync.WaitGroup
	each := total / gs
	for i := 0; i < gs; i++ {
		group.Add(1)
		go func() {
			for n := 0; n < each; n++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
	return each * gs
}

func spawnJoin1000() int {
	var group sync.WaitGroup
	for batch := 0; batch < 500; batch++ {
		for i := 0; i < 1000; i++ {
			group.Add(1)
			go func() { group.Done() }()
		}
		group.Wait()
	}
	return 500 * 1000
}

func chanRoundTrip() int {
	const count = 500000
	there, back := make(chan int), make(chan int)
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		for i := 0; i < count; i++ {
			back <- <-there
		}
		group.Done()
	}()
	for value := 0; value < count; value++ {
		there <- value
		<-back
	}
	group.Wait()
	return count
}

func send(to chan int, count int, group *sync.WaitGroup) {
	for value := 0; value < count; value++ {
		to <- value
	}
	group.Done()
}

func chanBuffered() int {
	const count = 2000000
	var group sync.WaitGroup
	items := make(chan int, 128)
	group.Add(1)
	go send(items, count, &group)
	for i := 0; i < count; i++ {
		<-items
	}
	group.Wait()
	return count
}

var sink int

func select2() int {
	const count = 250000
	var group sync.WaitGroup
	left, right := make(chan int), make(chan int)
	group.Add(2)
	go send(left, count, &group)
	go send(right, count, &group)
	for i := 0; i < 2*count; i++ {
		select {
		case sink = <-left:
		case sink = <-right:
		}
	}
	group.Wait()
	return 2 * count
}

func lockAmong(gs, total int) int {
	var mutex sync.Mutex
	var group sync.WaitGroup
	each := total / gs
	for i := 0; i < gs; i++ {
		group.Add(1)
		go func() {
			for n := 0; n < each; n++ {
				mutex.Lock()
				sink++
				mutex.Unlock()
			}
			group.Done()
		}()
	}
	group.Wait()
	return each * gs
}

func sleep100k() int {
	var group sync.WaitGroup
	for i := 0; i < 100000; i++ {
		group.Add(1)
		go func() {
			time.Sleep(10 * time.Millisecond)
			group.Done()
		}()
	}
	group.Wait()
	return 100000
}

func residentBytes() int {
	var size, pages int
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		fmt.Sscan(string(text), &size, &pages)
	}
	return pages * 4096
}

func parkedBytes() float64 {
	const many = 100000
	var ready, ended sync.WaitGroup
	gate := make(chan struct{})
	before := residentBytes()
	ready.Add(many)
	ended.Add(many)
	for i := 0; i < many; i++ {
		go func() {
			ready.Done()
			<-gate
			ended.Done()
		}()
	}
	ready.Wait()
	bytes := float64(residentBytes()-before) / many
	close(gate)
	ended.Wait()
	return bytes
}

func main() {
	names := os.Args[1:]
	if len(names) > 0 && names[0] == "-trace" {
		names = names[1:]
		if err := trace.Start(io.Discard); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer trace.Stop()
	}
	chosen := func(name string) bool {
		for _, one := range names {
			if one == name {
				return true
			}
		}
		return len(names) == 0
	}
	if chosen("parked_100k_bytes") {
		fmt.Printf("parked_100k_bytes %.0f\n", parkedBytes())
	}
	for _, workload := range []struct {
		name string
		run  func() int
	}{
		{"yield_2", func() int { return yieldAmong(2, 2000000) }},
		{"yield_1000", func() int { return yieldAmong(1000, 2000000) }},
		{"spawn_join_1000", spawnJoin1000},
		{"chan_round_trip", chanRoundTrip},
		{"chan_buffered", chanBuffered},
		{"select_2", select2},
		{"mutex_alone", func() int { return lockAmong(1, 10000000) }},
		{"mutex_8", func() int { return lockAmong(8, 4000000) }},
		{"sleep_100k", sleep100k},
	} {
		if !chosen(workload.name) {
			continue
		}
		workload.run()
		began := time.Now()
		operations := workload.run()
		fmt.Printf("%s %.1f\n", workload.name, float64(time.Since(began).Nanoseconds())/float64(operations))
	}
}
