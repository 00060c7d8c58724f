// The peer of bench/leak_stop.c: Go's goroutineleak profile of a program with so many goroutines and so large a heap.
// Built with GOEXPERIMENT=goroutineleakprofile; without it there is no such profile, and the exit status is 4.
//
//	leakstop GOROUTINES HEAP_MB ROUNDS
//
// A stop is the longest pause of a round, from the runtime's own histograms (the upper bound of its bucket); beside is
// the time that a profile takes as a whole, stops included.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	leakedOf      = 10
	blockPointers = 512
	spread        = 0x9e3779b97f4a7c15
)

var pauseNames = []string{"/sched/pauses/total/gc:seconds", "/sched/pauses/total/other:seconds"}

func readPauses() []metrics.Sample {
	samples := make([]metrics.Sample, len(pauseNames))
	for i, name := range pauseNames {
		samples[i].Name = name
	}
	metrics.Read(samples)
	return samples
}

// longest returns the longest pause between the two readings, in milliseconds.
func longest(before, after []metrics.Sample) float64 {
	var longest float64
	for i := range after {
		old, now := before[i].Value.Float64Histogram(), after[i].Value.Float64Histogram()
		for k := range now.Counts {
			if now.Counts[k] > old.Counts[k] {
				longest = max(longest, min(now.Buckets[k+1], 1e6))
			}
		}
	}
	return longest * 1e3
}

// leaked is the total of a profile's text form, which begins "goroutineleak profile: total N".
func leaked(profile *pprof.Profile) string {
	var text strings.Builder
	profile.WriteTo(&text, 1)
	first, _, _ := strings.Cut(text.String(), "\n")
	return first[strings.LastIndexByte(first, ' ')+1:]
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "leakstop: '%s' is no number\n", text)
		os.Exit(2)
	}
	return value
}

type block struct {
	others [blockPointers]*block
}

// heap makes blocks that point to each other, at random.
func heap(megabytes int) []*block {
	blocks := make([]*block, megabytes<<20/(8*blockPointers))
	for i := range blocks {
		blocks[i] = new(block)
		for k := 0; k < blockPointers; k += 8 {
			blocks[i].others[k] = blocks[(uint64(i)*spread+uint64(k))%uint64(i+1)]
		}
	}
	return blocks
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: leakstop GOROUTINES HEAP_MB ROUNDS")
		os.Exit(2)
	}
	profile := pprof.Lookup("goroutineleak")
	if profile == nil {
		os.Exit(4)
	}
	goroutines, rounds := number(os.Args[1]), number(os.Args[3])
	blocks := heap(number(os.Args[2]))
	kept := make([]chan int, goroutines)
	var parked sync.WaitGroup
	parked.Add(goroutines)
	for i := range kept {
		made := make(chan int)
		go func() {
			parked.Done()
			<-made
		}()
		if i%leakedOf != 0 {
			kept[i] = made
		}
	}
	parked.Wait()
	var stops, wholes []float64
	for range rounds {
		before, began := readPauses(), time.Now()
		profile.WriteTo(io.Discard, 0)
		wholes = append(wholes, float64(time.Since(began).Nanoseconds())/1e6)
		stops = append(stops, longest(before, readPauses()))
	}
	found := leaked(profile)
	sort.Float64s(stops)
	sort.Float64s(wholes)
	fmt.Printf("stop_p50 %.2f\nstop_max %.2f\nbeside_p50 %.2f\nproven %s\n", stops[rounds*50/100], stops[rounds-1],
		wholes[rounds*50/100], found)
	runtime.KeepAlive(blocks)
	runtime.KeepAlive(kept)
}
